// Logs that are cut behind what was read, and grow again.
#include "tests/fakes/running_loop.h"

namespace fetcher {
namespace {

using namespace testing;

std::vector<int64_t> offsets_of(const FakeStore& store, int32_t partition = 0) {
    std::vector<int64_t> offsets;
    for (const auto& row : store.rows())
        if (row.partition == partition) offsets.push_back(row.offset);
    return offsets;
}

std::vector<int64_t> numbers(int64_t from, int64_t to) {
    std::vector<int64_t> all;
    for (; from < to; from++) all.push_back(from);
    return all;
}

std::vector<int64_t> joined(std::vector<int64_t> first, const std::vector<int64_t>& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

// Of leader 0 below `cut`, of leader 5 from there to 40.
void fill(FakeSource& source, int64_t cut) {
    source.lead(0, 0);
    append_numbers(source, 0, 0, cut);
    source.lead(0, 5);
    append_numbers(source, 0, cut, 40);
}

Position read_to(int64_t offset, int32_t epoch, int64_t end) { return {offset, "", true, {epoch, end}}; }

TEST(PollLoopCut, ALogThatWasCutAndGrewWhileNobodyLookedIsReadFromTheCut) {
    FakeStore store;
    store.set_position(0, read_to(30, 2, 29));
    RunningLoop loop({&store});
    fill(loop.source, 20);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(loop.wait_reason("offset_gap"));
    ASSERT_TRUE(store.wait_rows(20));
    ASSERT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == 40; }));
    EXPECT_EQ(loop.source.committed_epoch(0), 5);
    EXPECT_EQ(loop.snapshot().gaps, 1U);
    EXPECT_NE(loop.snapshot().reasons.front().detail.find("cut at offset 20"), std::string::npos);
    loop.stop();
    EXPECT_EQ(loop.failure, "");
    EXPECT_EQ(offsets_of(store), numbers(20, 40));
    EXPECT_EQ(store.position(0)->last, (LeaderEpoch{5, 40}));
}

TEST(PollLoopCut, ALogThatIsAsItWasReadIsNotAskedForAgain) {
    FakeStore store;
    store.set_position(0, read_to(30, 5, 28));
    RunningLoop loop({&store});
    fill(loop.source, 20);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(store.wait_rows(10));
    loop.stop();
    EXPECT_EQ(loop.snapshot().gaps, 0U);
    EXPECT_EQ(offsets_of(store), numbers(30, 40)) << "also where reading begins below the position, behind the last record";
}

TEST(PollLoopCut, ALogThatIsCutUnderARunningConsumerIsReadFromTheCut) {
    FakeStore store;
    RunningLoop loop({&store});
    loop.source.lead(0, 1);
    append_numbers(loop.source, 0, 0, 30);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(store.wait_rows(30));
    loop.source.cut(0, 20, 2);
    append_numbers(loop.source, 0, 20, 40);
    ASSERT_TRUE(store.wait_rows(50));
    EXPECT_TRUE(loop.wait_for([&] { return loop.snapshot().gaps == 1; }));
    loop.stop();
    EXPECT_EQ(loop.failure, "");
    EXPECT_EQ(offsets_of(store), joined(numbers(0, 30), numbers(20, 40)));
}

// As when a broker was restored: each partition may have to wait for its sinks, as long as drain_timeout.
TEST(PollLoopCut, LogsThatAreCutInManyPartitionsWaitForTheirSinksTogether) {
    FakeStore store;
    RunningLoop loop({&store}, 60s);
    for (const int32_t p : {0, 1}) {
        loop.source.lead(p, 1);
        append_numbers(loop.source, p, 0, 30);
    }
    loop.source.assign_partitions({0, 1});
    ASSERT_TRUE(store.wait_rows(60));
    store.cork();
    append_numbers(loop.source, 0, 30, 31);  // in which the sink hangs
    const bool hangs = loop.wait_for([&] { return loop.source.drained() == 61; });
    loop.source.script([&](SourceEvents&) {  // both before the loop looks
        for (const int32_t p : {0, 1}) {
            loop.source.cut(p, 20, 2);
            append_numbers(loop.source, p, 20, 40);
        }
    });
    const bool together = loop.wait_for([&] { return store.assignment(0)->closing && store.assignment(1)->closing; });
    store.uncork();  // before anything may fail: the loop's end waits for the sink
    ASSERT_TRUE(hangs);
    EXPECT_TRUE(together) << "one waits until the other is closed";
    ASSERT_TRUE(store.wait_rows(101));
    EXPECT_TRUE(loop.wait_for([&] { return loop.snapshot().gaps == 2; }));
    loop.stop();
    EXPECT_EQ(loop.failure, "");
    EXPECT_EQ(offsets_of(store, 0), joined(numbers(0, 31), numbers(20, 40)));
    EXPECT_EQ(offsets_of(store, 1), joined(numbers(0, 30), numbers(20, 40)));
}

// A commit without an epoch would take from the group what the log is recognized by.
TEST(PollLoopCut, WhatIsCommittedWithoutHavingReadAnythingKeepsTheEpochOfThePosition) {
    FakeStore store;
    store.set_position(0, read_to(40, 5, 40));
    RunningLoop loop({&store});
    fill(loop.source, 20);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == 40; }));
    EXPECT_EQ(loop.source.committed_epoch(0), 5);
    loop.stop();
    EXPECT_EQ(offsets_of(store), numbers(0, 0));
}

TEST(PollLoopCut, ASinkWithoutAPositionGoesByTheCommit) {
    FakeStore store;
    store.keeps_position = false;
    RunningLoop loop({&store});
    loop.source.lead(0, 1);
    append_numbers(loop.source, 0, 0, 30);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(store.wait_rows(30));
    ASSERT_TRUE(loop.wait_for([&] { return loop.source.committed(0) == 30; }));
    loop.source.revoke_partitions({0});
    loop.source.script([&](SourceEvents&) {
        append_numbers(loop.source, 0, 30, 31);  // gone with the rest
        loop.source.cut(0, 20, 2);
    });
    loop.source.script([&](SourceEvents& events) {
        append_numbers(loop.source, 0, 20, 40);
        events.on_assigned({0});
    });
    ASSERT_TRUE(store.wait_rows(50));
    loop.stop();
    EXPECT_EQ(offsets_of(store), joined(numbers(0, 30), numbers(20, 40)));
}

// Of several processors the one that has most may hold what is gone, while the log is fine where reading begins.
TEST(PollLoopCut, WhoHasMoreThanTheOthersGoesBackAndTheyDoNot) {
    FakeStore less, more;
    less.set_position(0, read_to(10, 0, 10));
    more.set_position(0, read_to(30, 2, 30));
    RunningLoop loop({&less, &more});
    fill(loop.source, 20);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(less.wait_rows(30));
    ASSERT_TRUE(more.wait_rows(20));
    EXPECT_TRUE(loop.wait_for([&] { return loop.snapshot().gaps == 1; }));
    loop.stop();
    EXPECT_EQ(offsets_of(less), numbers(10, 40));
    EXPECT_EQ(offsets_of(more), numbers(20, 40));
}

// One whose sink was away when the others went back: they have come further meanwhile, and stay there.
TEST(PollLoopCut, WhoComesLaterGoesBackAlone) {
    FakeStore here, late;
    here.set_position(0, read_to(35, 5, 35));
    late.set_position(0, read_to(30, 2, 30));
    late.refuse_opens(1'000'000);
    RunningLoop loop({&here, &late});
    fill(loop.source, 20);
    loop.source.assign_partitions({0});
    ASSERT_TRUE(here.wait_rows(5));
    EXPECT_EQ(loop.snapshot().gaps, 0U);
    late.refuse_opens(0);
    ASSERT_TRUE(late.wait_rows(20));
    EXPECT_TRUE(loop.wait_for([&] { return loop.snapshot().gaps == 1; }));
    loop.source.append(0, 40, "40");
    ASSERT_TRUE(here.wait_rows(6));
    ASSERT_TRUE(late.wait_rows(21));
    loop.stop();
    EXPECT_EQ(loop.failure, "");
    EXPECT_EQ(offsets_of(here), numbers(35, 41));
    EXPECT_EQ(offsets_of(late), numbers(20, 41));
}

}  // namespace
}  // namespace fetcher
