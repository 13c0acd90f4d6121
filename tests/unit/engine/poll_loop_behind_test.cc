// No processor holds another up for ever: one that is stuck stops sharing, and catches up from its own cursor.
#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/engine/poll_loop_fixture.h"

namespace fetcher {
namespace {

using testing::expect_offsets;
using testing::FakeStore;
using testing::impatient;
using testing::kMuch;
using namespace std::chrono_literals;

class PollLoopBehind : public testing::FileAndDatabase {};

TEST_F(PollLoopBehind, AStuckSinkStopsSharingAndTheOtherHasEverythingMeanwhile) {
    ASSERT_NO_FATAL_FAILURE(begin_with_a_stuck_database());
    EXPECT_TRUE(loop_->wait_reason("behind"));
    EXPECT_TRUE(database_.rows().empty());
    EXPECT_LE(loop_->source.committed(0), 0) << "nothing is committed that a required one has not";
    EXPECT_EQ(loop_->source.cursors_made(), 0u) << "as long as it takes nothing, nothing is fetched for it";
    EXPECT_TRUE(loop_->wait_for([&] { return loop_->snapshot().processors[0].lag == 0 && loop_->snapshot().processors[1].lag == kMuch; }));

    database_.uncork();
    ASSERT_TRUE(database_.wait_rows(kMuch));
    EXPECT_TRUE(loop_->wait_for([&] { return loop_->source.committed(0) == kMuch; }));
    EXPECT_TRUE(loop_->wait_no_reason("behind"));
    EXPECT_TRUE(loop_->wait_for([&] { return loop_->source.cursors() == 0; })) << "the cursor goes when it is not needed any more";

    // They share again.
    const auto by_cursors = loop_->source.drained_by_cursors();
    EXPECT_GT(by_cursors, 0u);
    fill(0, kMuch, kMuch + 20);
    ASSERT_TRUE(file_.wait_rows(kMuch + 20));
    ASSERT_TRUE(database_.wait_rows(kMuch + 20));
    EXPECT_EQ(loop_->source.drained_by_cursors(), by_cursors);
    loop_->stop();
    EXPECT_EQ(loop_->failure, "");
    expect_offsets(file_, 0, 0, kMuch + 20);
    expect_offsets(database_, 0, 0, kMuch + 20);
    EXPECT_EQ(loop_->source.committed(0), kMuch + 20);
}

TEST_F(PollLoopBehind, ACursorThatCameFurtherThanTheOthersRepeatsNothing) {
    ASSERT_NO_FATAL_FAILURE(begin_with_a_stuck_database());
    loop_->source.stop_cursors(true);
    database_.uncork();
    ASSERT_TRUE(loop_->wait_for([&] { return loop_->source.cursors() == 1; }));
    // Now the file is stuck, and the cursor finds more than the shared reading has come to.
    file_.cork();
    fill(0, kMuch, 2 * kMuch);
    ASSERT_TRUE(loop_->wait_for([&] { return loop_->snapshot().processors[0].queue_batches == Lane::kDepth; }));
    loop_->source.stop_cursors(false);
    ASSERT_TRUE(loop_->wait_for([&] { return loop_->source.cursors() == 0; })) << "it shares again";
    file_.uncork();
    ASSERT_TRUE(file_.wait_rows(2 * kMuch));
    ASSERT_TRUE(database_.wait_rows(2 * kMuch));
    loop_->stop();
    expect_offsets(file_, 0, 0, 2 * kMuch);
    expect_offsets(database_, 0, 0, 2 * kMuch);
}

TEST_F(PollLoopBehind, WhileRecordsComeEachHasEveryOneOnceThroughManyStops) {
    begin();
    constexpr int64_t kRecords = 6'000;
    std::atomic<bool> over{false};
    std::thread producer([&] {
        for (int64_t offset = 0; offset < kRecords; offset++) {
            for (const int32_t p : {0, 1, 2}) loop_->source.append(p, offset, std::to_string(offset) + std::string(3'000, '.'));
            if (offset % 100 == 0) std::this_thread::sleep_for(10ms);
        }
        over = true;
    });
    loop_->source.assign_partitions({0, 1, 2});
    // Each in turn is stuck until it has fallen behind, or nothing more comes.
    for (int round = 0; !over; round++) {
        FakeStore& one = round % 2 == 0 ? database_ : file_;
        one.cork();
        loop_->wait_for([&] { return over || std::ranges::any_of(loop_->snapshot().reasons, [](const auto& r) { return r.code == "behind"; }); });
        one.uncork();
    }
    producer.join();
    ASSERT_TRUE(file_.wait_rows(3 * kRecords));
    ASSERT_TRUE(database_.wait_rows(3 * kRecords));
    EXPECT_TRUE(loop_->wait_no_reason("behind"));
    EXPECT_TRUE(loop_->wait_for([&] { return loop_->source.committed(2) == kRecords; }));
    loop_->stop();
    EXPECT_GT(loop_->source.cursors_made(), 0u);
    for (const int32_t p : {0, 1, 2}) {
        expect_offsets(file_, p, 0, kRecords);
        expect_offsets(database_, p, 0, kRecords);
    }
}

TEST_F(PollLoopBehind, OneThatIsStuckInOnePartitionAloneIsBehindThereAlone) {
    begin();
    database_.hold_partition(1);
    fill(1, 0, kMuch);
    loop_->source.assign_partitions({0, 1});
    ASSERT_TRUE(file_.wait_rows(kMuch));
    fill(0, 0, 20);
    ASSERT_TRUE(database_.wait_rows(20)) << "the other partition flows";
    database_.release_partition();
    ASSERT_TRUE(database_.wait_rows(kMuch + 20));
    loop_->stop();
    expect_offsets(database_, 0, 0, 20);
    expect_offsets(database_, 1, 0, kMuch);
}

TEST_F(PollLoopBehind, ARebalanceWhileBehindLosesAndDoublesNothing) {
    database_.answer_writes(Outcome::retry("the database is away"), 1'000'000);
    auto options = impatient();
    options.drain_timeout = 200ms;
    begin(options);
    fill(0, 0, kMuch);
    fill(1, 0, kMuch);
    loop_->source.assign_partitions({0, 1});
    ASSERT_TRUE(file_.wait_rows(2 * kMuch));
    ASSERT_TRUE(loop_->wait_reason("behind"));
    loop_->source.revoke_partitions({0});
    loop_->source.assign_partitions({0});
    fill(0, kMuch, kMuch + 50);
    ASSERT_TRUE(file_.wait_rows(2 * kMuch + 50));
    database_.answer_writes(Outcome::durable(), 0);
    ASSERT_TRUE(database_.wait_rows(2 * kMuch + 50));
    // And once more while the cursor reads.
    loop_->source.revoke_partitions({0, 1}, true);
    loop_->source.assign_partitions({0, 1});
    fill(1, kMuch, kMuch + 50);
    ASSERT_TRUE(file_.wait_rows(2 * kMuch + 100));
    ASSERT_TRUE(database_.wait_rows(2 * kMuch + 100));
    loop_->stop();
    EXPECT_EQ(loop_->failure, "");
    for (const auto* store : {&file_, &database_})
        for (const int32_t p : {0, 1}) expect_offsets(*store, p, 0, kMuch + 50);
}

TEST_F(PollLoopBehind, APartitionThatGoesWhileItsCursorReadsTakesTheCursorWithIt) {
    ASSERT_NO_FATAL_FAILURE(begin_with_a_stuck_database());
    loop_->source.stop_cursors(true);
    database_.uncork();
    ASSERT_TRUE(loop_->wait_for([&] { return loop_->source.cursors() == 1; }));
    loop_->source.revoke_partitions({0});
    ASSERT_TRUE(loop_->wait_for([&] { return loop_->source.cursors() == 0 && loop_->snapshot().partitions.empty(); }));
    EXPECT_TRUE(loop_->wait_no_reason("behind"));
    const auto held = static_cast<int64_t>(database_.rows().size());
    EXPECT_EQ(loop_->source.committed(0), held) << "what it had been given is in the database and committed";
    loop_->source.stop_cursors(false);
    loop_->source.assign_partitions({0});
    ASSERT_TRUE(database_.wait_rows(kMuch));
    loop_->stop();
    expect_offsets(database_, 0, 0, kMuch);
    expect_offsets(file_, 0, 0, kMuch);
}

TEST_F(PollLoopBehind, StopKeepsItsTimeWithAStuckSinkAndCommitsOnlyWhatAllHave) {
    database_.answer_writes(Outcome::retry("the database is away"), 1'000'000);
    auto options = impatient();
    options.drain_timeout = 300ms;
    begin(options);
    fill(0, 0, kMuch);
    loop_->source.assign_partitions({0});
    ASSERT_TRUE(file_.wait_rows(kMuch));
    ASSERT_TRUE(loop_->wait_reason("behind"));
    const auto begin = Clock::now();
    loop_->stop();
    EXPECT_LT(Clock::now() - begin, 10s);
    EXPECT_LE(loop_->source.committed(0), 0);
    expect_offsets(file_, 0, 0, kMuch);
}

TEST_F(PollLoopBehind, WhatRetentionRemovedBeforeItCouldTakeItIsCountedAndTold) {
    ASSERT_NO_FATAL_FAILURE(begin_with_a_stuck_database());
    loop_->source.trim(0, 250);
    database_.uncork();
    ASSERT_TRUE(loop_->wait_reason("offset_gap"));
    EXPECT_TRUE(loop_->wait_for([&] { return loop_->source.committed(0) == kMuch; }));
    EXPECT_EQ(loop_->snapshot().gaps, 1u);
    loop_->stop();
    EXPECT_EQ(loop_->failure, "");
    EXPECT_EQ(database_.rows().back().offset, kMuch - 1);
    EXPECT_LT(database_.rows().size(), static_cast<size_t>(kMuch));
}

TEST_F(PollLoopBehind, AnOffsetThatIsGoneUnderTheCursorEndsTheLoop) {
    ASSERT_NO_FATAL_FAILURE(begin_with_a_stuck_database());
    loop_->source.stop_cursors(true);
    database_.uncork();
    ASSERT_TRUE(loop_->wait_for([&] { return loop_->source.cursors() == 1; }));
    loop_->source.trim(0, 250);
    loop_->source.stop_cursors(false);
    ASSERT_TRUE(loop_->wait_finished());
    EXPECT_NE(loop_->failure.find("OFFSET_OUT_OF_RANGE"), std::string::npos) << loop_->failure;
}

TEST_F(PollLoopBehind, WhatOnlyTheOneThatIsBehindWantsIsNotCopiedForTheOthers) {
    database_.parts.keys = true;
    ASSERT_NO_FATAL_FAILURE(begin_with_a_stuck_database());
    ASSERT_TRUE(loop_->wait_reason("behind"));
    EXPECT_TRUE(loop_->source.drained_how().with_keys) << "while they shared";
    fill(0, kMuch, kMuch + 10);
    ASSERT_TRUE(file_.wait_rows(kMuch + 10));
    EXPECT_FALSE(loop_->source.drained_how().with_keys);
    database_.uncork();
    ASSERT_TRUE(loop_->wait_no_reason("behind"));
    ASSERT_TRUE(database_.wait_rows(kMuch + 10));
    EXPECT_FALSE(loop_->source.drained_how().by_cursors_without_keys);
    fill(0, kMuch + 10, kMuch + 20);
    ASSERT_TRUE(database_.wait_rows(kMuch + 20));
    const auto how = loop_->source.drained_how();
    EXPECT_TRUE(how.with_keys && !how.without_keys) << "they share again";
}

TEST_F(PollLoopBehind, ACursorThatCannotBeMadeIsTriedAgain) {
    database_.cork();
    begin();
    loop_->source.refuse_cursors(1);
    fill(0, 0, kMuch);
    loop_->source.assign_partitions({0});
    ASSERT_TRUE(file_.wait_rows(kMuch));
    database_.uncork();
    ASSERT_TRUE(database_.wait_rows(kMuch));
    loop_->stop();
    expect_offsets(database_, 0, 0, kMuch);
}

}  // namespace
}  // namespace fetcher
