// Several processors and the memory: a slow one with a small backlog is waited for, one with more than there is room for is not.
#include <gtest/gtest.h>

#include "tests/unit/engine/poll_loop_fixture.h"

namespace fetcher {
namespace {

using testing::append_large;
using testing::expect_offsets;
using testing::FakeStore;
using testing::impatient;
using testing::kMuch;
using testing::RunningLoop;
using namespace std::chrono_literals;

TEST(PollLoopMemory, ASlowSinkWithASmallBacklogSlowsTheOthersAsBefore) {
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

TEST(PollLoopMemory, ASlowSinkWithMoreBacklogThanMemoryStopsSharing) {
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

TEST(PollLoopMemory, TwoStuckSinksOfThreeHoldUpNobodyEvenWithLittleMemory) {
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

}  // namespace
}  // namespace fetcher
