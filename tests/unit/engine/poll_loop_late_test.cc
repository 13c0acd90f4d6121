// Processors that begin later than the others, or far below them.
#include <gtest/gtest.h>

#include "engine/start_offsets.h"
#include "tests/unit/engine/poll_loop_fixture.h"

namespace fetcher {
namespace {

using testing::append_numbers;
using testing::expect_exact;
using testing::FakeStore;
using testing::impatient;
using testing::RunningLoop;

class PollLoopLate : public testing::FileAndDatabase {};

TEST_F(PollLoopLate, ASinkThatCannotBeOpenedAtTheStartJoinsLaterAtItsOwnPosition) {
    database_.set_position(0, {40, "", true});
    database_.refuse_opens(1'000'000);
    begin();
    append_numbers(loop_->source, 0, 0, 1'000);
    loop_->source.set_committed(0, 40);
    file_.set_position(0, {500, "", false});
    loop_->source.assign_partitions({0});
    ASSERT_TRUE(file_.wait_rows(500));
    ASSERT_TRUE(loop_->wait_reason("sink_blocked"));
    for (const auto& reason : loop_->snapshot().reasons) EXPECT_EQ(reason.severity, HealthReason::Severity::degraded) << "the file flows";
    EXPECT_EQ(loop_->source.committed(0), 40) << "where the database stands is not known";
    EXPECT_EQ(loop_->snapshot().partitions[0].lag, 960);
    database_.refuse_opens(0);
    ASSERT_TRUE(database_.wait_rows(960));
    EXPECT_TRUE(loop_->wait_for([&] { return loop_->source.committed(0) == 1'000; }));
    EXPECT_TRUE(loop_->wait_for([&] { return loop_->snapshot().reasons.empty(); }));
    loop_->stop();
    expect_exact(file_, 0, 500, 1'000);
    expect_exact(database_, 0, 40, 1'000);
}

TEST_F(PollLoopLate, WhereNoSinkCanBeOpenedTheConsumerIsBlocked) {
    file_.refuse_opens(1'000'000);
    database_.refuse_opens(1'000'000);
    begin();
    loop_->source.assign_partitions({0});
    append_numbers(loop_->source, 0, 0, 10);
    ASSERT_TRUE(loop_->wait_reason("sink_blocked"));
    for (const auto& reason : loop_->snapshot().reasons) EXPECT_EQ(reason.severity, HealthReason::Severity::blocked);
    file_.refuse_opens(0);
    ASSERT_TRUE(file_.wait_rows(10));
    database_.refuse_opens(0);
    ASSERT_TRUE(database_.wait_rows(10));
}

TEST_F(PollLoopLate, PositionsThatLieFarApartDoNotMakeTheOneThatIsAheadWait) {
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

}  // namespace
}  // namespace fetcher
