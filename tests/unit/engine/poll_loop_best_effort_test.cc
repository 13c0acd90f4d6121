// Processors that are not required: they hold nobody up, what they miss is counted once, and one that fails for good is opened again.
#include <gtest/gtest.h>

#include "tests/unit/engine/poll_loop_fixture.h"

namespace fetcher {
namespace {

using testing::append_large;
using testing::append_numbers;
using testing::expect_exact;
using testing::expect_offsets;
using testing::FakeStore;
using testing::impatient;
using testing::kMuch;
using testing::RunningLoop;
using namespace std::chrono_literals;

class PollLoopBestEffort : public ::testing::Test {
  protected:
    static PollLoopOptions options() {
        auto options = impatient();
        options.required = {true, false};
        options.reopen = {1ms, 1ms, 1h, std::nullopt};
        return options;
    }
    void begin(PollLoopOptions options = PollLoopBestEffort::options()) { loop_.emplace(std::vector{&file_, &extra_}, std::move(options)); }
    ProcessorSnapshot extra() const {
        const auto all = loop_->snapshot().processors;
        return all.size() < 2 ? ProcessorSnapshot{} : all[1];
    }
    uint64_t dropped() const { return extra().dropped; }
    // Each of so many records is in its sink, or counted as dropped.
    bool all_accounted_for(size_t records) const {
        return loop_->wait_for([&] { return extra_.rows().size() + dropped() == records; });
    }
    std::optional<HealthReason> reason(const std::string& code) const {
        for (const auto& reason : loop_->snapshot().reasons)
            if (reason.code == code) return reason;
        return std::nullopt;
    }

    FakeStore file_, extra_;
    std::optional<RunningLoop> loop_;  // ends before its sinks
};

TEST_F(PollLoopBestEffort, OneThatIsStuckHoldsUpNeitherCommitsNorTheOthersAndWhatItMissesIsCounted) {
    extra_.cork();
    begin();
    append_large(loop_->source, 0, 0, kMuch);
    loop_->source.assign_partitions({0});
    ASSERT_TRUE(file_.wait_rows(kMuch));
    EXPECT_TRUE(loop_->wait_for([&] { return loop_->source.committed(0) == kMuch; }));
    EXPECT_TRUE(loop_->wait_for([&] { return dropped() > 0; }));
    extra_.uncork();
    ASSERT_TRUE(all_accounted_for(kMuch));
    ASSERT_TRUE(loop_->wait_for([&] { return extra().queue_batches == 0; })) << "it has room for all that comes";
    append_large(loop_->source, 0, kMuch, kMuch + 5);
    ASSERT_TRUE(all_accounted_for(kMuch + 5));
    EXPECT_EQ(extra_.rows().back().offset, kMuch + 4) << "it goes on with what comes";
    EXPECT_EQ(loop_->source.cursors_made(), 0u);
    loop_->stop();
    expect_offsets(file_, 0, 0, kMuch + 5);
}

TEST_F(PollLoopBestEffort, OneThatFailsEndsNothing) {
    extra_.answer_writes(Outcome::fatal("the endpoint is gone"), 1);
    auto options = PollLoopBestEffort::options();
    options.reopen.initial = options.reopen.max = 1h;
    begin(options);
    append_numbers(loop_->source, 0, 0, 100);
    loop_->source.assign_partitions({0});
    ASSERT_TRUE(loop_->wait_reason("sink_failed"));
    append_numbers(loop_->source, 0, 100, 200);
    ASSERT_TRUE(file_.wait_rows(200));
    EXPECT_TRUE(loop_->wait_for([&] { return loop_->source.committed(0) == 200 && dropped() == 200; })) << dropped();
    // It stays so through a rebalance.
    loop_->source.revoke_partitions({0});
    loop_->source.assign_partitions({0, 1});
    append_numbers(loop_->source, 1, 0, 10);
    ASSERT_TRUE(file_.wait_rows(210));
    EXPECT_TRUE(loop_->wait_for([&] { return dropped() == 210; })) << dropped();
    EXPECT_TRUE(loop_->wait_reason("sink_failed"));
    loop_->stop();
    EXPECT_EQ(loop_->failure, "");
    EXPECT_TRUE(extra_.rows().empty());
}

TEST_F(PollLoopBestEffort, OneThatFailsIsOpenedAgainAndGoesOnWithWhatComes) {
    extra_.set_position(0, {0, "", true});
    auto options = PollLoopBestEffort::options();
    options.reopen.initial = options.reopen.max = 2s;  // so long it is to be seen
    begin(options);
    loop_->source.assign_partitions({0});
    append_numbers(loop_->source, 0, 0, 100);
    ASSERT_TRUE(extra_.wait_rows(100));
    extra_.answer_writes(Outcome::fatal("the endpoint is gone"), 1);
    append_numbers(loop_->source, 0, 100, 200);
    ASSERT_TRUE(loop_->wait_reason("sink_failed"));
    const auto failed = reason("sink_failed");
    if (failed) {
        EXPECT_TRUE(failed->next_try) << "it says when it is tried again";
        EXPECT_EQ(failed->severity, HealthReason::Severity::degraded);
        EXPECT_NE(failed->detail.find("the endpoint is gone"), std::string::npos) << failed->detail;
    }
    append_numbers(loop_->source, 0, 200, 300);
    ASSERT_TRUE(file_.wait_rows(300));
    ASSERT_TRUE(loop_->wait_no_reason("sink_failed"));
    EXPECT_EQ(loop_->renewals, 1);
    append_numbers(loop_->source, 0, 300, 400);
    ASSERT_TRUE(loop_->wait_for([&] { return extra_.rows().back().offset == 399; }));
    ASSERT_TRUE(all_accounted_for(400)) << extra_.rows().size() << " + " << dropped();
    EXPECT_GE(dropped(), 1u);
    EXPECT_TRUE(loop_->wait_for([&] { return extra().records == extra_.rows().size(); })) << "what the former worker did still counts";
    EXPECT_EQ(loop_->source.cursors_made(), 0u);
    loop_->stop();
    EXPECT_EQ(loop_->failure, "");
    expect_exact(file_, 0, 0, 400);
}

TEST_F(PollLoopBestEffort, OneThatFailsAgainAndAgainHasEachRecordOrItIsCountedOnce) {
    begin();
    loop_->source.assign_partitions({0, 1});
    constexpr int64_t kRecords = 3'000;
    for (int64_t offset = 0; offset < kRecords; offset += 100) {
        extra_.answer_writes(Outcome::fatal("the endpoint is gone"), 1);
        for (const int32_t p : {0, 1}) append_numbers(loop_->source, p, offset, offset + 100);
        ASSERT_TRUE(file_.wait_rows(static_cast<size_t>(2 * (offset + 100))));
        if (offset % 500 != 0) continue;
        ASSERT_TRUE(loop_->wait_no_reason("sink_failed"));
    }
    ASSERT_TRUE(all_accounted_for(2 * kRecords)) << extra_.rows().size() << " + " << dropped();
    EXPECT_GT(loop_->renewals, 1);
    loop_->stop();
    expect_exact(file_, 0, 0, kRecords);
    expect_exact(file_, 1, 0, kRecords);
    std::map<std::pair<int32_t, int64_t>, int> seen;
    for (const auto& row : extra_.rows()) EXPECT_EQ(++seen[std::pair(row.partition, row.offset)], 1);
}

TEST_F(PollLoopBestEffort, WhatItHadTakenAndNotMadeSafeWhenItFailedIsCounted) {
    extra_.hold_partition(0);
    begin();
    loop_->source.assign_partitions({0, 1});
    append_numbers(loop_->source, 0, 0, 10);
    ASSERT_TRUE(file_.wait_rows(10));
    ASSERT_TRUE(loop_->wait_for([&] { return extra().records == 10; })) << "all have been taken";
    EXPECT_EQ(dropped(), 0u);
    extra_.forget_held();
    extra_.answer_writes(Outcome::fatal("the endpoint is gone"), 1);
    append_numbers(loop_->source, 1, 0, 5);
    ASSERT_TRUE(loop_->wait_for([&] { return dropped() == 15; })) << dropped();
}

TEST_F(PollLoopBestEffort, OneThatWaitsForItsSinkIsGivenUpWhenItsOwnThreadsFail) {
    extra_.answer_writes(Outcome::retry("away"), 1'000'000);
    begin();
    loop_->source.assign_partitions({0});
    append_numbers(loop_->source, 0, 0, 10);
    ASSERT_TRUE(loop_->wait_reason("sink_retry"));
    extra_.answer_writes(Outcome::durable(), 0);
    extra_.answer_writes(Outcome::retry("away"), 1'000'000);
    extra_.fail_behind_its_back("a sync failed");
    ASSERT_TRUE(loop_->wait_for([&] { return loop_->renewals == 1; }));
    extra_.answer_writes(Outcome::durable(), 0);
    ASSERT_TRUE(loop_->wait_no_reason("sink_retry"));
    append_numbers(loop_->source, 0, 10, 20);
    ASSERT_TRUE(all_accounted_for(20)) << extra_.rows().size() << " + " << dropped();
}

TEST_F(PollLoopBestEffort, AfterSoManyTriesItWaitsForAPerson) {
    extra_.break_opens(1'000'000);
    auto options = PollLoopBestEffort::options();
    options.reopen.attempts = 2;
    begin(options);
    loop_->source.assign_partitions({0});
    append_numbers(loop_->source, 0, 0, 10);
    ASSERT_TRUE(file_.wait_rows(10));
    ASSERT_TRUE(loop_->wait_for([&] { return reason("sink_failed") && !reason("sink_failed")->next_try; }));
    EXPECT_NE(reason("sink_failed")->detail.find("restart.attempts"), std::string::npos);
    EXPECT_EQ(loop_->renewals, 2);
    EXPECT_TRUE(loop_->wait_for([&] { return dropped() == 10; })) << dropped();
    loop_->stop();
    EXPECT_EQ(loop_->failure, "");
}

TEST_F(PollLoopBestEffort, OneThatCannotBeMadeAnewIsTriedAgain) {
    extra_.answer_writes(Outcome::fatal("the endpoint is gone"), 1);
    begin();
    loop_->refused_renewals = 3;
    loop_->source.assign_partitions({0});
    append_numbers(loop_->source, 0, 0, 10);
    ASSERT_TRUE(loop_->wait_for([&] { return loop_->renewals == 4; }));
    int64_t end = 10;
    ASSERT_TRUE(loop_->wait_for([&] {  // what comes before it is open is not for it
        append_numbers(loop_->source, 0, end, end + 1);
        end++;
        return !extra_.rows().empty();
    }));
    ASSERT_TRUE(all_accounted_for(static_cast<size_t>(end)));
}

TEST_F(PollLoopBestEffort, OneNeverPullsTheStartBackAndMayOpenLater) {
    file_.set_position(0, {60, "", false});
    extra_.set_position(0, {20, "", true});
    extra_.refuse_opens(1'000'000);
    begin();
    append_numbers(loop_->source, 0, 0, 100);
    loop_->source.assign_partitions({0});
    ASSERT_TRUE(file_.wait_rows(40));
    EXPECT_EQ(loop_->source.drained(), 40u);
    ASSERT_TRUE(loop_->wait_reason("sink_blocked"));
    extra_.refuse_opens(0);
    ASSERT_TRUE(loop_->wait_no_reason("sink_blocked"));
    append_numbers(loop_->source, 0, 100, 110);
    ASSERT_TRUE(loop_->wait_for([&] { return !extra_.rows().empty() && extra_.rows().back().offset == 109; }));
    ASSERT_TRUE(all_accounted_for(50)) << "each that was read is counted once, if it was not given";
    loop_->stop();
    expect_exact(file_, 0, 60, 110);
}

TEST_F(PollLoopBestEffort, APositionOfItsOwnThatCannotBeIsItsFailureAlone) {
    extra_.set_position(0, {999, "", false});
    begin();
    append_numbers(loop_->source, 0, 0, 10);
    loop_->source.assign_partitions({0});
    ASSERT_TRUE(file_.wait_rows(10));
    EXPECT_TRUE(loop_->wait_reason("sink_failed"));
    EXPECT_TRUE(loop_->wait_for([&] { return loop_->source.committed(0) == 10; }));
    loop_->stop();
    EXPECT_EQ(loop_->failure, "");
}

TEST_F(PollLoopBestEffort, ARebalanceDoesNotWaitLongForOneThatIsStuck) {
    extra_.answer_writes(Outcome::retry("away"), 1'000'000);
    auto options = PollLoopBestEffort::options();
    options.drain_timeout = 60s;
    begin(options);
    append_numbers(loop_->source, 0, 0, 10);
    loop_->source.assign_partitions({0});
    ASSERT_TRUE(file_.wait_rows(10));
    loop_->source.revoke_partitions({0});
    ASSERT_TRUE(loop_->wait_for([&] { return loop_->source.committed(0) == 10 && loop_->snapshot().partitions.empty(); }));
    EXPECT_TRUE(loop_->wait_for([&] { return dropped() == 10; })) << "nobody gives it them any more";
}

TEST(PollLoopBestEffortDeath, OneProcessorAtLeastIsRequired) {
    FakeStore extra;
    auto options = impatient();
    options.required = {false};
    EXPECT_DEATH(RunningLoop loop({&extra}, options); loop.wait_finished(), "at least one processor that is required");
}

}  // namespace
}  // namespace fetcher
