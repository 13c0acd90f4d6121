// No processor holds another up for ever: one that is stuck or slow stops sharing, and catches up from its own cursor. And processors that
// are not required hold nobody up at all.
#include <gtest/gtest.h>

#include <thread>

#include "engine/start_offsets.h"
#include "tests/fakes/running_loop.h"

namespace fetcher {
namespace {

using testing::append_numbers;
using testing::expect_exact;
using testing::FakeStore;
using testing::RunningLoop;
using namespace std::chrono_literals;

// Sinks are stuck after a moment, so that the tests are short. What follows waits for events, not for times.
PollLoopOptions impatient() {
    PollLoopOptions options;
    options.drain_timeout = 2s;
    options.stuck_after = 100ms;
    options.stuck_partition_after = 300ms;
    options.backlogged_after = 100ms;
    return options;
}

// Large records: few of them are a batch. Their values begin with their offsets.
constexpr size_t kLarge = 100'000;
void append_large(testing::FakeSource& source, int32_t partition, int64_t from, int64_t to) {
    for (int64_t offset = from; offset < to; offset++) source.append(partition, offset, std::to_string(offset) + std::string(kLarge, '.'));
}

void expect_offsets(const FakeStore& store, int32_t partition, int64_t from, int64_t to) {
    int64_t next = from;
    for (const auto& row : store.rows()) {
        if (row.partition != partition) continue;
        ASSERT_EQ(row.offset, next) << "partition " << partition;
        next++;
    }
    ASSERT_EQ(next, to) << "partition " << partition;
}

// More than a full lane: 300 records of 100 kB.
constexpr int64_t kMuch = 300;

TEST(PollLoopBehind, AStuckSinkStopsSharingAndTheOtherHasEverythingMeanwhile) {
    FakeStore file, database;
    database.cork();
    RunningLoop loop({&file, &database}, impatient());
    append_large(loop.source, 0, 0, kMuch);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(kMuch));
    EXPECT_TRUE(loop.wait_reason("behind"));
    EXPECT_TRUE(database.rows().empty());
    EXPECT_LE(loop.source.committed(0), 0) << "nothing is committed that a required one has not";
    EXPECT_EQ(loop.source.cursors_made(), 0u) << "as long as it takes nothing, nothing is fetched for it";
    EXPECT_TRUE(loop.wait_for([&] { return loop.snapshot().processors[0].lag == 0 && loop.snapshot().processors[1].lag == kMuch; }));

    database.uncork();
    ASSERT_TRUE(database.wait_rows(kMuch));
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == kMuch; }));
    EXPECT_TRUE(loop.wait_no_reason("behind"));
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.cursors() == 0; })) << "the cursor goes when it is not needed any more";

    // They share again.
    const auto by_cursors = loop.source.drained_by_cursors();
    EXPECT_GT(by_cursors, 0u);
    append_large(loop.source, 0, kMuch, kMuch + 20);
    ASSERT_TRUE(file.wait_rows(kMuch + 20));
    ASSERT_TRUE(database.wait_rows(kMuch + 20));
    EXPECT_EQ(loop.source.drained_by_cursors(), by_cursors);
    loop.stop();
    EXPECT_EQ(loop.failure, "");
    expect_offsets(file, 0, 0, kMuch + 20);
    expect_offsets(database, 0, 0, kMuch + 20);
    EXPECT_EQ(loop.source.committed(0), kMuch + 20);
}

TEST(PollLoopBehind, ACursorThatCameFurtherThanTheOthersRepeatsNothing) {
    FakeStore file, database;
    database.cork();
    RunningLoop loop({&file, &database}, impatient());
    append_large(loop.source, 0, 0, kMuch);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(kMuch));
    loop.source.stop_cursors(true);
    database.uncork();
    ASSERT_TRUE(loop.wait_for([&] { return loop.source.cursors() == 1; }));
    // Now the file is stuck, and the cursor finds more than the shared reading has come to.
    file.cork();
    append_large(loop.source, 0, kMuch, 2 * kMuch);
    ASSERT_TRUE(loop.wait_for([&] { return loop.snapshot().processors[0].queue_batches == Lane::kDepth; }));
    loop.source.stop_cursors(false);
    ASSERT_TRUE(loop.wait_no_reason("behind"));
    file.uncork();
    ASSERT_TRUE(file.wait_rows(2 * kMuch));
    ASSERT_TRUE(database.wait_rows(2 * kMuch));
    loop.stop();
    expect_offsets(file, 0, 0, 2 * kMuch);
    expect_offsets(database, 0, 0, 2 * kMuch);
}

TEST(PollLoopBehind, WhileRecordsComeEachHasEveryOneOnceThroughManyStops) {
    FakeStore file, database;
    RunningLoop loop({&file, &database}, impatient());
    constexpr int64_t kRecords = 6'000;
    std::atomic<bool> over{false};
    std::thread producer([&] {
        for (int64_t offset = 0; offset < kRecords; offset++) {
            for (const int32_t p : {0, 1, 2}) loop.source.append(p, offset, std::to_string(offset) + std::string(3'000, '.'));
            if (offset % 100 == 0) std::this_thread::sleep_for(10ms);
        }
        over = true;
    });
    loop.source.assign_partitions({0, 1, 2});
    // Each in turn is stuck until it has fallen behind, or nothing more comes.
    for (int round = 0; !over; round++) {
        FakeStore& one = round % 2 == 0 ? database : file;
        one.cork();
        loop.wait_for([&] { return over || std::ranges::any_of(loop.snapshot().reasons, [](const auto& r) { return r.code == "behind"; }); });
        one.uncork();
    }
    producer.join();
    ASSERT_TRUE(file.wait_rows(3 * kRecords));
    ASSERT_TRUE(database.wait_rows(3 * kRecords));
    EXPECT_TRUE(loop.wait_no_reason("behind"));
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.committed(2) == kRecords; }));
    loop.stop();
    EXPECT_GT(loop.source.cursors_made(), 0u);
    for (const int32_t p : {0, 1, 2}) {
        expect_offsets(file, p, 0, kRecords);
        expect_offsets(database, p, 0, kRecords);
    }
}

TEST(PollLoopBehind, ASlowSinkWithASmallBacklogSlowsTheOthersAsBefore) {
    FakeStore file, slow;
    slow.take_time(20ms);
    auto options = impatient();
    options.stuck_after = options.stuck_partition_after = 1h;  // it is never stuck, however busy this machine is
    RunningLoop loop({&file, &slow}, options);
    append_large(loop.source, 0, 0, kMuch);  // 30 MB of 64
    loop.source.assign_partitions({0});
    ASSERT_TRUE(slow.wait_rows(kMuch));
    loop.stop();
    EXPECT_EQ(loop.source.cursors_made(), 0u);
    expect_offsets(slow, 0, 0, kMuch);
}

TEST(PollLoopBehind, ASlowSinkWithMoreBacklogThanMemoryStopsSharing) {
    FakeStore file, slow;
    slow.take_time(20ms);
    auto options = impatient();
    options.stuck_after = options.stuck_partition_after = 1h;
    RunningLoop loop({&file, &slow}, options, 16 << 20);
    append_large(loop.source, 0, 0, 2 * kMuch);  // 60 MB of 16
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(2 * kMuch));
    EXPECT_LT(slow.rows().size(), 2u * kMuch);
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.cursors() == 1; }));
    EXPECT_LE(loop.snapshot().memory_bytes, uint64_t{16} << 20);
    slow.take_time(0ms);
    ASSERT_TRUE(slow.wait_rows(2 * kMuch));
    EXPECT_TRUE(loop.wait_no_reason("behind"));
    loop.stop();
    expect_offsets(file, 0, 0, 2 * kMuch);
    expect_offsets(slow, 0, 0, 2 * kMuch);
}

TEST(PollLoopBehind, TwoStuckSinksOfThreeHoldUpNobodyEvenWithLittleMemory) {
    constexpr uint64_t kEnough = 64 << 20;
    for (const uint64_t budget : {uint64_t{1}, uint64_t{2} << 20, kEnough}) {
        const int64_t much = budget == kEnough ? 150 : 30;  // more than has room
        FakeStore file, one, two;
        one.cork();
        two.cork();
        RunningLoop loop({&file, &one, &two}, impatient(), budget);
        append_large(loop.source, 0, 0, much);
        append_large(loop.source, 1, 0, much);
        loop.source.assign_partitions({0, 1});
        ASSERT_TRUE(file.wait_rows(static_cast<size_t>(2 * much))) << budget;
        one.uncork();
        ASSERT_TRUE(one.wait_rows(static_cast<size_t>(2 * much))) << budget;
        two.uncork();
        ASSERT_TRUE(two.wait_rows(static_cast<size_t>(2 * much))) << budget;
        loop.stop();
        for (const int32_t p : {0, 1})
            for (const auto* store : {&file, &one, &two}) expect_offsets(*store, p, 0, much);
    }
}

TEST(PollLoopBehind, OneThatIsStuckInOnePartitionAloneIsBehindThereAlone) {
    FakeStore file, database;
    RunningLoop loop({&file, &database}, impatient());
    database.hold_partition(1);
    append_large(loop.source, 1, 0, kMuch);
    loop.source.assign_partitions({0, 1});
    ASSERT_TRUE(file.wait_rows(kMuch));
    append_large(loop.source, 0, 0, 20);
    ASSERT_TRUE(database.wait_rows(20)) << "the other partition flows";
    database.release_partition();
    ASSERT_TRUE(database.wait_rows(kMuch + 20));
    loop.stop();
    expect_offsets(database, 0, 0, 20);
    expect_offsets(database, 1, 0, kMuch);
}

TEST(PollLoopBehind, ARebalanceWhileBehindLosesAndDoublesNothing) {
    FakeStore file, database;
    database.answer_writes(Outcome::retry("the database is away"), 1'000'000);
    RunningLoop loop({&file, &database}, [] {
        auto options = impatient();
        options.drain_timeout = 200ms;
        return options;
    }());
    append_large(loop.source, 0, 0, kMuch);
    append_large(loop.source, 1, 0, kMuch);
    loop.source.assign_partitions({0, 1});
    ASSERT_TRUE(file.wait_rows(2 * kMuch));
    ASSERT_TRUE(loop.wait_reason("behind"));
    loop.source.revoke_partitions({0});
    loop.source.assign_partitions({0});
    append_large(loop.source, 0, kMuch, kMuch + 50);
    ASSERT_TRUE(file.wait_rows(2 * kMuch + 50));
    database.answer_writes(Outcome::durable(), 0);
    ASSERT_TRUE(database.wait_rows(2 * kMuch + 50));
    // And once more while the cursor reads.
    loop.source.revoke_partitions({0, 1}, true);
    loop.source.assign_partitions({0, 1});
    append_large(loop.source, 1, kMuch, kMuch + 50);
    ASSERT_TRUE(file.wait_rows(2 * kMuch + 100));
    ASSERT_TRUE(database.wait_rows(2 * kMuch + 100));
    loop.stop();
    EXPECT_EQ(loop.failure, "");
    for (const auto* store : {&file, &database})
        for (const int32_t p : {0, 1}) expect_offsets(*store, p, 0, kMuch + 50);
}

TEST(PollLoopBehind, APartitionThatGoesWhileItsCursorReadsTakesTheCursorWithIt) {
    FakeStore file, database;
    database.cork();
    RunningLoop loop({&file, &database}, impatient());
    append_large(loop.source, 0, 0, kMuch);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(kMuch));
    loop.source.stop_cursors(true);
    database.uncork();
    ASSERT_TRUE(loop.wait_for([&] { return loop.source.cursors() == 1; }));
    loop.source.revoke_partitions({0});
    ASSERT_TRUE(loop.wait_for([&] { return loop.source.cursors() == 0 && loop.snapshot().partitions.empty(); }));
    EXPECT_TRUE(loop.wait_no_reason("behind"));
    const auto held = static_cast<int64_t>(database.rows().size());
    EXPECT_EQ(loop.source.committed(0), held) << "what it had been given is in the database and committed";
    loop.source.stop_cursors(false);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(database.wait_rows(kMuch));
    loop.stop();
    expect_offsets(database, 0, 0, kMuch);
    expect_offsets(file, 0, 0, kMuch);
}

TEST(PollLoopBehind, StopKeepsItsTimeWithAStuckSinkAndCommitsOnlyWhatAllHave) {
    FakeStore file, database;
    database.answer_writes(Outcome::retry("the database is away"), 1'000'000);
    auto options = impatient();
    options.drain_timeout = 300ms;
    RunningLoop loop({&file, &database}, options);
    append_large(loop.source, 0, 0, kMuch);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(kMuch));
    ASSERT_TRUE(loop.wait_reason("behind"));
    const auto begin = Clock::now();
    loop.stop();
    EXPECT_LT(Clock::now() - begin, 10s);
    EXPECT_LE(loop.source.committed(0), 0);
    expect_offsets(file, 0, 0, kMuch);
}

TEST(PollLoopBehind, ASinkThatCannotBeOpenedAtTheStartJoinsLaterAtItsOwnPosition) {
    FakeStore file, database;
    database.set_position(0, {40, "", true});
    database.refuse_opens(1'000'000);
    RunningLoop loop({&file, &database}, impatient());
    append_numbers(loop.source, 0, 0, 1'000);
    loop.source.set_committed(0, 40);
    file.set_position(0, {500, "", false});
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(500));
    ASSERT_TRUE(loop.wait_reason("sink_blocked"));
    for (const auto& reason : loop.snapshot().reasons) EXPECT_EQ(reason.severity, HealthReason::Severity::degraded) << "the file flows";
    EXPECT_EQ(loop.source.committed(0), 40) << "where the database stands is not known";
    EXPECT_EQ(loop.snapshot().partitions[0].lag, 960);
    database.refuse_opens(0);
    ASSERT_TRUE(database.wait_rows(960));
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == 1'000; }));
    EXPECT_TRUE(loop.wait_for([&] { return loop.snapshot().reasons.empty(); }));
    loop.stop();
    expect_exact(file, 0, 500, 1'000);
    expect_exact(database, 0, 40, 1'000);
}

TEST(PollLoopBehind, WhereNoSinkCanBeOpenedTheConsumerIsBlocked) {
    FakeStore file, database;
    file.refuse_opens(1'000'000);
    database.refuse_opens(1'000'000);
    RunningLoop loop({&file, &database}, impatient());
    loop.source.assign_partitions({0});
    append_numbers(loop.source, 0, 0, 10);
    ASSERT_TRUE(loop.wait_reason("sink_blocked"));
    for (const auto& reason : loop.snapshot().reasons) EXPECT_EQ(reason.severity, HealthReason::Severity::blocked);
    file.refuse_opens(0);
    ASSERT_TRUE(file.wait_rows(10));
    database.refuse_opens(0);
    ASSERT_TRUE(database.wait_rows(10));
}

TEST(PollLoopBehind, PositionsThatLieFarApartDoNotMakeTheOneThatIsAheadWait) {
    FakeStore ahead, far, near;
    const int64_t end = 3 * kFarApart;
    ahead.set_position(0, {end - 10, "", false});
    far.set_position(0, {5, "", false});
    near.set_position(0, {end - 100, "", false});
    far.cork();
    RunningLoop loop({&ahead, &far, &near}, impatient());
    append_numbers(loop.source, 0, 0, 100);
    append_numbers(loop.source, 0, end - 200, end);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(ahead.wait_rows(10));
    ASSERT_TRUE(near.wait_rows(100));
    EXPECT_EQ(loop.source.drained(), 100u) << "from the nearer one on, and not from the farther";
    far.uncork();
    ASSERT_TRUE(far.wait_rows(295));
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == end; }));
    loop.stop();
    EXPECT_EQ(ahead.rows().size(), 10u);
    EXPECT_EQ(near.rows().size(), 100u);
    EXPECT_EQ(far.rows().size(), 295u);
    EXPECT_EQ(far.rows().front().offset, 5);
}

TEST(PollLoopBehind, WhatRetentionRemovedBeforeItCouldTakeItIsCountedAndTold) {
    FakeStore file, database;
    database.cork();
    RunningLoop loop({&file, &database}, impatient());
    append_large(loop.source, 0, 0, kMuch);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(kMuch));
    loop.source.trim(0, 250);
    database.uncork();
    ASSERT_TRUE(loop.wait_reason("offset_gap"));
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == kMuch; }));
    EXPECT_EQ(loop.snapshot().gaps, 1u);
    loop.stop();
    EXPECT_EQ(loop.failure, "");
    EXPECT_EQ(database.rows().back().offset, kMuch - 1);
    EXPECT_LT(database.rows().size(), static_cast<size_t>(kMuch));
}

TEST(PollLoopBehind, AnOffsetThatIsGoneUnderTheCursorEndsTheLoop) {
    FakeStore file, database;
    database.cork();
    RunningLoop loop({&file, &database}, impatient());
    append_large(loop.source, 0, 0, kMuch);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(kMuch));
    loop.source.stop_cursors(true);
    database.uncork();
    ASSERT_TRUE(loop.wait_for([&] { return loop.source.cursors() == 1; }));
    loop.source.trim(0, 250);
    loop.source.stop_cursors(false);
    ASSERT_TRUE(loop.wait_finished());
    EXPECT_NE(loop.failure.find("OFFSET_OUT_OF_RANGE"), std::string::npos) << loop.failure;
}

TEST(PollLoopBehind, WhatOnlyTheOneThatIsBehindWantsIsNotCopiedForTheOthers) {
    FakeStore file, database;
    database.parts.keys = true;
    database.cork();
    RunningLoop loop({&file, &database}, impatient());
    append_large(loop.source, 0, 0, kMuch);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(kMuch));
    ASSERT_TRUE(loop.wait_reason("behind"));
    EXPECT_TRUE(loop.source.drained_how().with_keys) << "while they shared";
    append_large(loop.source, 0, kMuch, kMuch + 10);
    ASSERT_TRUE(file.wait_rows(kMuch + 10));
    EXPECT_FALSE(loop.source.drained_how().with_keys);
    database.uncork();
    ASSERT_TRUE(loop.wait_no_reason("behind"));
    ASSERT_TRUE(database.wait_rows(kMuch + 10));
    EXPECT_FALSE(loop.source.drained_how().by_cursors_without_keys);
    append_large(loop.source, 0, kMuch + 10, kMuch + 20);
    ASSERT_TRUE(database.wait_rows(kMuch + 20));
    const auto how = loop.source.drained_how();
    EXPECT_TRUE(how.with_keys && !how.without_keys) << "they share again";
}

TEST(PollLoopBehind, ACursorThatCannotBeMadeIsTriedAgain) {
    FakeStore file, database;
    database.cork();
    RunningLoop loop({&file, &database}, impatient());
    loop.source.refuse_cursors(1);
    append_large(loop.source, 0, 0, kMuch);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(kMuch));
    database.uncork();
    ASSERT_TRUE(database.wait_rows(kMuch));
    loop.stop();
    expect_offsets(database, 0, 0, kMuch);
}

// --- processors that are not required ------------------------------------------------------------------------------------------

PollLoopOptions second_not_required() {
    auto options = impatient();
    options.required = {true, false};
    return options;
}

uint64_t dropped(const RunningLoop& loop) { return loop.snapshot().processors[1].dropped; }

TEST(PollLoopBestEffort, OneThatIsStuckHoldsUpNeitherCommitsNorTheOthersAndWhatItMissesIsCounted) {
    FakeStore file, extra;
    extra.cork();
    RunningLoop loop({&file, &extra}, second_not_required());
    append_large(loop.source, 0, 0, kMuch);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(kMuch));
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == kMuch; }));
    EXPECT_TRUE(loop.wait_for([&] { return dropped(loop) > 0; }));
    extra.uncork();
    ASSERT_TRUE(loop.wait_for([&] { return extra.rows().size() + dropped(loop) == static_cast<size_t>(kMuch); }));
    append_large(loop.source, 0, kMuch, kMuch + 5);
    ASSERT_TRUE(loop.wait_for([&] { return extra.rows().size() + dropped(loop) == static_cast<size_t>(kMuch) + 5; }));
    EXPECT_EQ(extra.rows().back().offset, kMuch + 4) << "it goes on with what comes";
    EXPECT_EQ(loop.source.cursors_made(), 0u);
    loop.stop();
    expect_offsets(file, 0, 0, kMuch + 5);
}

TEST(PollLoopBestEffort, OneThatFailsEndsNothing) {
    FakeStore file, extra;
    extra.answer_writes(Outcome::fatal("the endpoint is gone"), 1);
    RunningLoop loop({&file, &extra}, second_not_required());
    append_numbers(loop.source, 0, 0, 100);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(loop.wait_reason("sink_failed"));
    append_numbers(loop.source, 0, 100, 200);
    ASSERT_TRUE(file.wait_rows(200));
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == 200 && dropped(loop) == 200; })) << dropped(loop);
    // It stays so through a rebalance.
    loop.source.revoke_partitions({0});
    loop.source.assign_partitions({0, 1});
    append_numbers(loop.source, 1, 0, 10);
    ASSERT_TRUE(file.wait_rows(210));
    EXPECT_TRUE(loop.wait_for([&] { return dropped(loop) == 210; })) << dropped(loop);
    EXPECT_TRUE(loop.wait_reason("sink_failed"));
    loop.stop();
    EXPECT_EQ(loop.failure, "");
    EXPECT_TRUE(extra.rows().empty());
}

TEST(PollLoopBestEffort, OneNeverPullsTheStartBackAndMayOpenLater) {
    FakeStore file, extra;
    file.set_position(0, {60, "", false});
    extra.set_position(0, {20, "", true});
    extra.refuse_opens(3);
    RunningLoop loop({&file, &extra}, second_not_required());
    append_numbers(loop.source, 0, 0, 100);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(40));
    EXPECT_EQ(loop.source.drained(), 40u);
    ASSERT_TRUE(loop.wait_for([&] { return dropped(loop) >= 80; })) << "what it has not: from its own position on";
    append_numbers(loop.source, 0, 100, 110);
    ASSERT_TRUE(loop.wait_for([&] { return !extra.rows().empty() && extra.rows().back().offset == 109; }));
    loop.stop();
    expect_exact(file, 0, 60, 110);
}

TEST(PollLoopBestEffort, APositionOfItsOwnThatCannotBeIsItsFailureAlone) {
    FakeStore file, extra;
    extra.set_position(0, {999, "", false});
    RunningLoop loop({&file, &extra}, second_not_required());
    append_numbers(loop.source, 0, 0, 10);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(10));
    EXPECT_TRUE(loop.wait_reason("sink_failed"));
    EXPECT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == 10; }));
    loop.stop();
    EXPECT_EQ(loop.failure, "");
}

TEST(PollLoopBestEffort, ARebalanceDoesNotWaitLongForOneThatIsStuck) {
    FakeStore file, extra;
    extra.answer_writes(Outcome::retry("away"), 1'000'000);
    auto options = second_not_required();
    options.drain_timeout = 60s;
    RunningLoop loop({&file, &extra}, options);
    append_numbers(loop.source, 0, 0, 10);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(file.wait_rows(10));
    loop.source.revoke_partitions({0});
    ASSERT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == 10 && loop.snapshot().partitions.empty(); }));
}

TEST(PollLoopBestEffortDeath, OneProcessorAtLeastIsRequired) {
    FakeStore extra;
    auto options = impatient();
    options.required = {false};
    EXPECT_DEATH(RunningLoop loop({&extra}, options); loop.wait_finished(), "at least one processor that is required");
}

}  // namespace
}  // namespace fetcher
