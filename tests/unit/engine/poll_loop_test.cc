// The poll loop and its workers, real threads and queues, between a scripted source and sinks in memory.
#include <gtest/gtest.h>

#include <thread>

#include "tests/fakes/running_loop.h"

namespace fetcher {
namespace {

using testing::append_numbers;
using testing::expect_exact;
using testing::FakeStore;
using testing::RunningLoop;
using namespace std::chrono_literals;

TEST(PollLoop, DeliversEveryRecordOnceInOrderAndCommitsWhatIsDurable) {
    FakeStore store;
    RunningLoop loop({&store});
    append_numbers(loop.source, 0, 0, 1'000);
    append_numbers(loop.source, 1, 0, 500);
    loop.source.assign_partitions({0, 1});
    ASSERT_TRUE(store.wait_rows(1'500));
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == 1'000 && loop.source.committed(1) == 500; }));
    loop.stop();
    expect_exact(store, 0, 0, 1'000);
    expect_exact(store, 1, 0, 500);
    EXPECT_TRUE(loop.source.closed());
    EXPECT_EQ(loop.failure, "");
}

TEST(PollLoop, ABatchThatAProcessorKeepsMayComeBackEvenBeforeItsCallReturns) {
    FakeStore store;
    store.holds = true;
    RunningLoop loop({&store});
    loop.source.assign_partitions({0});
    for (int64_t i = 0; i < 50; i++) {  // more batches than the lane has room for
        append_numbers(loop.source, 0, i * 100, (i + 1) * 100);
        ASSERT_TRUE(store.wait_rows(static_cast<size_t>(i + 1) * 100));
    }
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == 5'000 && loop.snapshot().processors[0].queue_batches == 0; }));
    loop.stop();
    expect_exact(store, 0, 0, 5'000);
}

TEST(PollLoop, StopFlushesAndCommitsWhatTheSinksHave) {
    FakeStore store;
    RunningLoop loop({&store});
    loop.source.assign_partitions({0});
    append_numbers(loop.source, 0, 0, 100);
    ASSERT_TRUE(store.wait_rows(100));
    loop.stop();
    EXPECT_EQ(loop.source.committed(0), 100);
}

TEST(PollLoop, EachProcessorBeginsAtItsOwnPosition) {
    FakeStore ahead;
    FakeStore behind;
    ahead.set_position(0, {60, "", false});
    behind.set_position(0, {20, "", false});
    RunningLoop loop({&ahead, &behind});
    append_numbers(loop.source, 0, 0, 100);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(ahead.wait_rows(40));
    ASSERT_TRUE(behind.wait_rows(80));
    loop.stop();
    expect_exact(ahead, 0, 60, 100);
    expect_exact(behind, 0, 20, 100);
}

TEST(PollLoop, NeverCommitsBeyondTheSlowestProcessor) {
    FakeStore fast;
    FakeStore stuck;
    stuck.cork();
    RunningLoop loop({&fast, &stuck}, 100ms);
    append_numbers(loop.source, 0, 0, 100);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(fast.wait_rows(100));
    EXPECT_LE(loop.source.committed(0), 0);
    stuck.uncork();
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == 100; }));
}

TEST(PollLoop, ACorkedSinkStopsTheDrainingWithinTheBudgetAndGoesOnExactly) {
    FakeStore store;
    store.cork();
    RunningLoop loop({&store});
    const std::string value(50'000, 'v');
    constexpr int64_t kRecords = 2'000;  // 100 MB against a budget of 64 MiB
    for (int64_t offset = 0; offset < kRecords; offset++) loop.source.append(0, offset, value);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(loop.wait_for([&] { return loop.snapshot().processors.size() == 1 && loop.snapshot().processors[0].queue_batches >= Lane::kDepth; }));
    EXPECT_LE(loop.source.drained() * value.size(), size_t{64} << 20);
    EXPECT_LE(loop.snapshot().memory_bytes, uint64_t{64} << 20);
    store.uncork();
    ASSERT_TRUE(store.wait_rows(kRecords));
    loop.stop();
    int64_t next = 0;
    for (const auto& row : store.rows()) ASSERT_EQ(row.offset, next++);
}

TEST(PollLoop, APartitionThatHasMuchLeavesRoomInTheLanesForTheOthers) {
    FakeStore store;
    store.cork();
    RunningLoop loop({&store});
    const std::string value(100'000, 'v');
    for (int64_t offset = 0; offset < 300; offset++) loop.source.append(0, offset, value);
    loop.source.assign_partitions({0, 1});
    const auto queued = [&] {
        const auto seen = loop.snapshot();
        return seen.processors.empty() ? 0 : seen.processors[0].queue_batches;
    };
    EXPECT_TRUE(loop.wait_for([&] { return queued() == Lane::kDepth / 2; })) << queued() << ' ' << loop.snapshot().memory_bytes;
    loop.source.append(1, 0, "0");
    EXPECT_TRUE(loop.wait_for([&] { return queued() == Lane::kDepth / 2 + 1; })) << queued();
    store.uncork();
    ASSERT_TRUE(store.wait_rows(301));
}

TEST(PollLoop, RevokedPartitionsAreDrainedCommittedAndComeBackWhereTheyWere) {
    FakeStore store;
    RunningLoop loop({&store});
    append_numbers(loop.source, 0, 0, 50);
    loop.source.assign_partitions({0, 1});
    ASSERT_TRUE(store.wait_rows(50));
    loop.source.revoke_partitions({0});
    ASSERT_TRUE(loop.wait_for([&] { return loop.snapshot().partitions.size() == 1; }));
    EXPECT_EQ(loop.source.committed(0), 50);
    append_numbers(loop.source, 0, 50, 80);
    append_numbers(loop.source, 1, 0, 10);
    ASSERT_TRUE(store.wait_rows(60));
    EXPECT_EQ(store.position(0)->next_offset, 50);  // not ours meanwhile
    loop.source.assign_partitions({0});
    ASSERT_TRUE(store.wait_rows(90));
    loop.stop();
    expect_exact(store, 0, 0, 80);
    expect_exact(store, 1, 0, 10);
}

TEST(PollLoop, ALostPartitionIsNotCommittedAndAStuckSinkDoesNotHoldTheRebalanceUp) {
    FakeStore store;
    store.answer_writes(Outcome::retry("the sink is away"), 1'000'000);
    RunningLoop loop({&store}, 200ms);
    append_numbers(loop.source, 0, 0, 50);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(loop.wait_reason("sink_retry"));
    loop.source.revoke_partitions({0}, true);
    ASSERT_TRUE(loop.wait_for([&] { return loop.snapshot().partitions.empty(); }));
    EXPECT_LE(loop.source.committed(0), 0);
    store.answer_writes(Outcome::durable(), 0);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(store.wait_rows(50));
    loop.stop();
    expect_exact(store, 0, 0, 50);
}

TEST(PollLoop, ATransientFailureIsRetriedAndTheHealthSaysSoMeanwhile) {
    FakeStore store;
    constexpr int kAnswers = 1'000'000;
    store.answer_writes(Outcome::retry("no room on the test's disk"), kAnswers);
    RunningLoop loop({&store});
    append_numbers(loop.source, 0, 0, 10);
    loop.source.assign_partitions({0});
    EXPECT_TRUE(loop.wait_reason("sink_retry"));
    const int left = store.stop_answers();
    ASSERT_TRUE(store.wait_rows(10));
    EXPECT_TRUE(loop.wait_for([&] { return loop.snapshot().reasons.empty(); }));
    EXPECT_EQ(loop.snapshot().processors[0].retries, static_cast<uint64_t>(kAnswers - left));
    loop.stop();
    expect_exact(store, 0, 0, 10);
}

TEST(PollLoop, AFatalFailureEndsTheLoopWithItsReasonAndCommitsNothingMore) {
    FakeStore store;
    store.answer_writes(Outcome::fatal("the table is gone"), 1);
    RunningLoop loop({&store});
    append_numbers(loop.source, 0, 0, 10);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(loop.wait_finished());
    EXPECT_EQ(loop.failure, "the table is gone");
    EXPECT_LE(loop.source.committed(0), 0);
    EXPECT_TRUE(store.rows().empty());
}

TEST(PollLoop, ABadRecordEndsTheLoopNamingItsOffset) {
    FakeStore store;
    store.answer_writes(Outcome::bad_records({{2, "not JSON"}}), 1);
    RunningLoop loop({&store});
    append_numbers(loop.source, 0, 0, 10);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(loop.wait_finished());
    EXPECT_NE(loop.failure.find("offset 2"), std::string::npos) << loop.failure;
}

TEST(PollLoop, ASinkThatCannotBeOpenedBlocksWithItsReasonAndThenFlows) {
    FakeStore store;
    store.refuse_opens(3);
    RunningLoop loop({&store});
    append_numbers(loop.source, 0, 0, 10);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(store.wait_rows(10));
    loop.stop();
    expect_exact(store, 0, 0, 10);
}

TEST(PollLoop, ABrokerThatDoesNotTellTheBoundsIsAskedAgain) {
    FakeStore store;
    RunningLoop loop({&store});
    append_numbers(loop.source, 0, 0, 10);
    loop.source.fail_bounds(1);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(store.wait_rows(10));
    loop.stop();
    expect_exact(store, 0, 0, 10);
}

TEST(PollLoop, LatestMissesNothingThatComesWhileTheSinkCannotBeOpened) {
    FakeStore store;
    store.refuse_opens(6);  // about three seconds: longer than an assignment waits
    RunningLoop loop({&store}, 2s, true);
    append_numbers(loop.source, 0, 0, 10);
    loop.source.assign_partitions({0});
    loop.source.script([&](SourceEvents&) { append_numbers(loop.source, 0, 10, 30); });
    ASSERT_TRUE(store.wait_rows(20));
    loop.stop();
    expect_exact(store, 0, 10, 30);
}

TEST(PollLoop, APartitionWhoseSinkIsLockedDoesNotHoldUpTheOthers) {
    FakeStore store;
    RunningLoop loop({&store});
    append_numbers(loop.source, 0, 0, 10);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(store.wait_rows(10));
    store.refuse_opens(1'000);
    loop.source.assign_partitions({1});
    ASSERT_TRUE(loop.wait_reason("sink_blocked"));
    append_numbers(loop.source, 0, 10, 20);
    ASSERT_TRUE(store.wait_rows(20));
    store.refuse_opens(0);
    append_numbers(loop.source, 1, 0, 5);
    ASSERT_TRUE(store.wait_rows(25));
}

TEST(PollLoop, AProcessorThatThrowsEndsItsConsumerAndNotTheProcess) {
    FakeStore store;
    store.throws = "no thread left";
    RunningLoop loop({&store});
    append_numbers(loop.source, 0, 0, 10);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(loop.wait_finished());
    EXPECT_NE(loop.failure.find("no thread left"), std::string::npos) << loop.failure;
    EXPECT_LE(loop.source.committed(0), 0);
}

TEST(PollLoop, AFailedCommitIsToldAndCoveredByTheNext) {
    FakeStore store;
    RunningLoop loop({&store});
    loop.source.fail_commits(true);
    append_numbers(loop.source, 0, 0, 10);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(loop.wait_reason("commit_failed"));
    loop.source.fail_commits(false);
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == 10; }));
    EXPECT_TRUE(loop.wait_for([&] { return loop.snapshot().reasons.empty(); }));
}

TEST(PollLoop, WhatIsOutdatedEndsItAndIsNoFailureOfItsOwn) {
    for (const auto kind : {SourceTrouble::Kind::outdated, SourceTrouble::Kind::fatal}) {
        FakeStore store;
        RunningLoop loop({&store});
        loop.source.script([kind](SourceEvents& events) { events.on_trouble({kind, "the broker is elsewhere"}); });
        ASSERT_TRUE(loop.wait_finished());
        EXPECT_EQ(loop.failure, "the broker is elsewhere");
        EXPECT_EQ(loop.outdated, kind == SourceTrouble::Kind::outdated);
    }
}

TEST(PollLoop, AGapIsCountedAndTold) {
    FakeStore store;
    store.set_position(0, {5, "", false});
    RunningLoop loop({&store});
    append_numbers(loop.source, 0, 0, 100);
    loop.source.trim(0, 40);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(loop.wait_reason("offset_gap"));
    ASSERT_TRUE(store.wait_rows(60));
    EXPECT_EQ(loop.snapshot().gaps, 1u);
    loop.stop();
    expect_exact(store, 0, 40, 100);
}

// A storm: partitions come and go while records arrive and the sink hiccups; the sink's own position makes it exact.
TEST(PollLoopStress, AStormOfRebalancesLosesAndDoublesNothing) {
    FakeStore store;
    RunningLoop loop({&store});
    constexpr int64_t kRecords = 20'000;
    std::thread producer([&] {
        for (int64_t offset = 0; offset < kRecords; offset++) {
            for (const int32_t p : {0, 1, 2}) loop.source.append(p, offset, std::to_string(offset));
        }
    });
    loop.source.assign_partitions({0, 1, 2});
    for (int i = 0; i < 60; i++) {
        loop.source.revoke_partitions({i % 3}, i % 4 == 0);
        if (i % 5 == 0) store.answer_writes(Outcome::retry("hiccup"), 1);
        loop.source.assign_partitions({i % 3});
    }
    producer.join();
    ASSERT_TRUE(store.wait_rows(3 * kRecords));
    loop.stop();
    for (const int32_t p : {0, 1, 2}) expect_exact(store, p, 0, kRecords);
}

}  // namespace
}  // namespace fetcher
