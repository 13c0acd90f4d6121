#include "admin/combined_health.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

using Severity = HealthReason::Severity;

ConsumerPart part(const std::string& name, std::vector<int32_t> partitions, std::vector<HealthReason> reasons = {}) {
    ConsumerPart part{name, true, {}};
    part.seen.pipeline.emplace();
    part.seen.pipeline->state = PipelineSnapshot::State::running;
    part.seen.pipeline->reasons = std::move(reasons);
    for (const auto p : partitions) part.seen.pipeline->partitions.push_back({.partition = p, .durable = 10, .lag = 5});
    part.seen.pipeline->processors = {{.id = "p", .type = "t", .records = 100}};
    part.seen.totals.records = 100;
    part.seen.totals.gaps = 1;
    part.seen.totals.dropped = 2;
    part.seen.records_per_second = 7;
    return part;
}

ConsumerPart dead(ConsumerPart part) {
    part.alive = false;
    return part;
}

std::string judged(const CombinedHealth& combined) { return combined.health.status + " " + combined.health.state; }

TEST(CombinedHealth, AloneItIsWhatItWas) {
    EXPECT_EQ(judged(combine_health(Desired::running, part("a", {0, 1}), {})), "ACTIVE ok");
    EXPECT_EQ(judged(combine_health(Desired::running, part("a", {}), {})), "ACTIVE waiting");
    EXPECT_EQ(judged(combine_health(Desired::stopped, {"a", true, {}}, {})), "INACTIVE stopped");
}

TEST(CombinedHealth, SumsWhatAllHaveAndListsAllPartitions) {
    const auto combined = combine_health(Desired::running, part("a", {0}), {part("b", {1}), part("c", {2})});
    EXPECT_EQ(judged(combined), "ACTIVE ok");
    EXPECT_EQ(combined.seen.totals.records, 300U);
    EXPECT_EQ(combined.seen.totals.gaps, 3U);
    EXPECT_EQ(combined.seen.totals.dropped, 6U);
    EXPECT_EQ(combined.seen.records_per_second, 21);
    EXPECT_EQ(combined.seen.pipeline->partitions.size(), 3U);
    ASSERT_EQ(combined.seen.pipeline->processors.size(), 1U);
    EXPECT_EQ(combined.seen.pipeline->processors[0].records, 300U);
    ASSERT_EQ(combined.parts.size(), 3U);
    EXPECT_EQ(combined.parts[0].instance_id, "a");
    EXPECT_EQ(combined.parts[2].partitions, std::vector<int32_t>{2});
}

TEST(CombinedHealth, AReplicaWithoutPartitionsIsNoConcernWhileAnotherHasSome) {
    EXPECT_EQ(judged(combine_health(Desired::running, part("a", {}), {part("b", {0})})), "ACTIVE ok");
    EXPECT_EQ(judged(combine_health(Desired::running, part("a", {}), {part("b", {})})), "ACTIVE waiting");
}

TEST(CombinedHealth, TheWorstLivingReplicaDecidesAndIsNamed) {
    const auto blocked = part("b", {1}, {{Severity::blocked, "sink_blocked", "locked", "p", {}, std::nullopt}});
    const auto combined = combine_health(Desired::running, part("a", {0}), {blocked});
    EXPECT_EQ(judged(combined), "ERROR error");
    ASSERT_EQ(combined.health.reasons.size(), 1U);
    EXPECT_EQ(combined.health.reasons[0].detail, "on b: locked");
    EXPECT_EQ(judged(combine_health(Desired::stopped, {"a", true, {}}, {part("b", {0})})), "ACTIVE ok") << "b has not stopped yet";
}

TEST(CombinedHealth, WhatADeadReplicaHadIsToldUntilOthersHaveIt) {
    const auto orphaned = combine_health(Desired::running, part("a", {0}), {dead(part("b", {1, 2}))});
    EXPECT_EQ(judged(orphaned), "ACTIVE degraded");
    ASSERT_EQ(orphaned.health.reasons.size(), 1U);
    EXPECT_EQ(orphaned.health.reasons[0].code, "replica_lost");
    EXPECT_NE(orphaned.health.reasons[0].detail.find("1, 2"), std::string::npos);
    EXPECT_EQ(orphaned.seen.pipeline->partitions.size(), 3U) << "their lag as last known";
    EXPECT_EQ(orphaned.seen.totals.records, 200U) << "what it has done stays done";
    EXPECT_EQ(orphaned.seen.records_per_second, 7);

    const auto taken_over = combine_health(Desired::running, part("a", {0, 1, 2}), {dead(part("b", {1, 2}))});
    EXPECT_EQ(judged(taken_over), "ACTIVE ok");
    EXPECT_EQ(judged(combine_health(Desired::stopped, {"a", true, {}}, {dead(part("b", {1}))})), "INACTIVE stopped");
}

TEST(CombinedHealth, OfAPartitionThatMovesTheFurtherReportCounts) {
    auto further = part("b", {0});
    further.seen.pipeline->partitions[0].durable = 20;
    const auto combined = combine_health(Desired::running, part("a", {0}), {further});
    ASSERT_EQ(combined.seen.pipeline->partitions.size(), 1U);
    EXPECT_EQ(combined.seen.pipeline->partitions[0].durable, 20);
}

}  // namespace
}  // namespace fetcher
