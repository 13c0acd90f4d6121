#include "admin/report_json.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

TEST(ReportJson, WhatIsWrittenIsRead) {
    const system_clock::time_point at{milliseconds(1'700'000'000'123)};
    ConsumerReport report;
    report.applied_revision = 7;
    auto& seen = report.seen;
    seen.stopping = true;
    seen.failure = "no \"disk\" \xc3\xa9";
    seen.next_retry_at = at;
    seen.last_error = LastError{"it broke", at};
    seen.totals = {1, 2, 3, 4, 5, 6, 7};
    seen.records_per_second = 1.5;
    seen.pipeline.emplace();
    seen.pipeline->state = PipelineSnapshot::State::running;
    seen.pipeline->records = 10;
    seen.pipeline->memory_bytes = 11;
    seen.pipeline->reasons = {{HealthReason::Severity::blocked, "sink_blocked", "locked", "p", at, at}};
    seen.pipeline->partitions = {{.partition = 3, .position = 4, .durable = 5, .committed = 6, .log_end_offset = 7, .lag = 2}};
    seen.pipeline->processors = {{.id = "p", .type = "file_sink", .records = 8}};

    const auto read = read_reports(write_reports({{"c", report}, {"idle", {}}}));
    ASSERT_TRUE(read);
    ASSERT_EQ(read->size(), 2U);
    EXPECT_FALSE(read->at("idle").seen.pipeline);
    const auto& again = read->at("c");
    EXPECT_EQ(again.applied_revision, 7);
    EXPECT_TRUE(again.seen.stopping);
    EXPECT_EQ(again.seen.failure, seen.failure);
    EXPECT_EQ(again.seen.next_retry_at, at);
    EXPECT_FALSE(again.seen.stalled_since);
    EXPECT_EQ(again.seen.last_error->detail, "it broke");
    EXPECT_EQ(again.seen.totals.restarts, 4U);
    EXPECT_EQ(again.seen.totals.gaps, 6U);
    EXPECT_EQ(again.seen.totals.dropped, 7U);
    EXPECT_EQ(again.seen.records_per_second, 1.5);
    const auto& pipeline = *again.seen.pipeline;
    EXPECT_EQ(pipeline.state, PipelineSnapshot::State::running);
    EXPECT_EQ(pipeline.records, 10U);
    EXPECT_EQ(pipeline.memory_bytes, 11U);
    ASSERT_EQ(pipeline.reasons.size(), 1U);
    EXPECT_EQ(pipeline.reasons[0].severity, HealthReason::Severity::blocked);
    EXPECT_EQ(pipeline.reasons[0].next_try, at);
    ASSERT_EQ(pipeline.partitions.size(), 1U);
    EXPECT_EQ(pipeline.partitions[0].lag, 2);
    ASSERT_EQ(pipeline.processors.size(), 1U);
    EXPECT_EQ(pipeline.processors[0].records, 8U);
}

TEST(ReportJson, AReportOfAnotherVersionIsReadAsFarAsItIsUnderstood) {
    const auto read = read_reports(R"({"c":{"new_field":[1],"pipeline":{"state":99,"reasons":[{"severity":42,"code":"x"}]}}})");
    ASSERT_TRUE(read);
    EXPECT_EQ(read->at("c").seen.pipeline->reasons.at(0).severity, HealthReason::Severity::degraded);
}

TEST(ReportJson, WhatIsNoReportIsRefused) {
    EXPECT_FALSE(read_reports(""));
    EXPECT_FALSE(read_reports("[]"));
    EXPECT_FALSE(read_reports(R"({"c":{"applied_revision":"seven"}})"));
    EXPECT_FALSE(read_reports(R"({"c":5})"));
}

TEST(ReportJson, BytesThatAreNoUtf8DoNotStopAReport) {
    ConsumerReport report;
    report.seen.failure = "\xff\xfe";
    EXPECT_TRUE(read_reports(write_reports({{"c", report}})));
}

}  // namespace
}  // namespace fetcher
