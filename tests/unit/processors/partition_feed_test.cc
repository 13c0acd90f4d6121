#include "processors/partition_feed.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "sink_world.h"

namespace fetcher {
namespace {

using namespace std::chrono_literals;
using TimePoint = PartitionFeed::TimePoint;

class Feeding : public ::testing::Test {
  protected:
    void limit(size_t records, bool ordered = true) {
        feed_ = std::make_unique<PartitionFeed>(RangeLimits{records, 1 << 20, 5ms, ordered});
    }
    const Batch& add(int64_t first, int64_t count, int64_t gap_behind = 0) {
        auto& batch = *batches_.emplace_back(std::make_unique<Batch>());
        batch.begin(assignment_, first);
        for (int64_t i = 0; i < count; i++) batch.add(first + i, 0, std::to_string(first + i));
        batch.set_next_offset(first + count + gap_behind);
        feed_->add(batch, 0, now_);
        return batch;
    }
    RecordRange* take(bool hurry = false) { return feed_->take(now_, hurry); }
    // "first-last" of the next range, delivered at once; "-" where there is none.
    std::string deliver(bool hurry = false) {
        RecordRange* range = take(hurry);
        if (!range) return "-";
        const std::string text = std::to_string(range->first_offset) + "-" + std::to_string(range->last_offset);
        feed_->delivered(*range);
        settle();
        return text;
    }
    void settle() {
        feed_->settle([&](const Batch& batch) { EXPECT_TRUE(back_.insert(&batch).second); });
    }

    TimePoint now_ = TimePoint() + 1h;
    std::shared_ptr<Assignment> assignment_ = make_assignment(0);
    std::vector<std::unique_ptr<Batch>> batches_;
    std::unique_ptr<PartitionFeed> feed_;
    std::set<const Batch*> back_;
};

TEST_F(Feeding, RangesDependOnTheRecordsAndNotOnTheBatches) {
    limit(4);
    add(0, 3);
    const auto& second = add(3, 6);
    EXPECT_EQ(deliver(), "0-3");
    EXPECT_EQ(back_.size(), 1u);
    EXPECT_EQ(feed_->position(), 4);
    EXPECT_EQ(deliver(), "4-7");
    EXPECT_EQ(deliver(), "-") << "one record waits for more";
    now_ += 5ms;
    EXPECT_EQ(deliver(), "8-8");
    EXPECT_TRUE(back_.contains(&second));
    EXPECT_TRUE(feed_->idle());
    EXPECT_EQ(feed_->position(), 9);
}

TEST_F(Feeding, OneRangeAtATimeWhereOrderCounts) {
    limit(2);
    add(0, 6);
    RecordRange* first = take();
    ASSERT_TRUE(first);
    EXPECT_FALSE(take());
    feed_->retry(*first, now_ + 10ms);
    EXPECT_FALSE(take()) << "nothing overtakes what waits to be tried again";
    EXPECT_EQ(feed_->ready_at(true), now_ + 10ms);
    now_ += 10ms;
    EXPECT_EQ(take(), first);
    feed_->delivered(*first);
    settle();
    EXPECT_EQ(deliver(), "2-3");
}

TEST_F(Feeding, WithoutOrderThePositionIsWhatIsDeliveredWithoutAGap) {
    limit(2, false);
    add(0, 6);
    RecordRange *a = take(), *b = take(), *c = take();
    ASSERT_TRUE(a && b && c);
    feed_->delivered(*c);
    feed_->delivered(*b);
    settle();
    EXPECT_EQ(feed_->position(), 0);
    EXPECT_EQ(feed_->ends_under_way(), (std::vector<int64_t>{2, 4, 6}));
    feed_->delivered(*a);
    settle();
    EXPECT_EQ(feed_->position(), 6);
    EXPECT_EQ(back_.size(), 1u);
}

TEST_F(Feeding, SplittingFindsTheBadRecordAndDeliversWhatIsBeforeIt) {
    limit(100);
    add(0, 5);
    add(5, 8);
    const int64_t bad = 9;
    std::vector<std::string> refused;
    for (;;) {
        RecordRange* range = take(true);
        ASSERT_TRUE(range);
        if (range->first_offset <= bad && bad <= range->last_offset) {
            refused.push_back(std::to_string(range->first_offset) + "-" + std::to_string(range->last_offset));
            if (!feed_->split(*range)) break;
        } else {
            EXPECT_LT(range->last_offset, bad) << "nothing behind it is sent before it";
            feed_->delivered(*range);
            settle();
        }
    }
    EXPECT_EQ(refused.back(), "9-9");
    EXPECT_EQ(feed_->position(), 9);
}

TEST_F(Feeding, CutsRememberedRangesAgainAsTheyWere) {
    limit(4);
    feed_->remember({3, 9});
    add(0, 2);
    EXPECT_EQ(deliver(), "-") << "its records are still to come";
    add(2, 20);
    EXPECT_EQ(deliver(), "0-2");
    EXPECT_EQ(deliver(), "3-8") << "larger than the limit is now";
    EXPECT_EQ(deliver(), "9-12");
}

TEST_F(Feeding, ARememberedRangeWaitsForItsRecordsWhateverHurriesAndHoldsNoBatchUp) {
    limit(100);
    feed_->remember({10});
    for (int64_t first : {0, 2, 5}) {
        add(first, first == 0 ? 2 : 3);
        EXPECT_EQ(deliver(true), "-");
        EXPECT_TRUE(feed_->waits_for_remembered(now_));
        EXPECT_EQ(feed_->ready_at(true), now_ + 30s);
        settle();
    }
    EXPECT_EQ(back_.size(), 3u) << "the engine can read on";
    EXPECT_EQ(feed_->position(), 0);
    EXPECT_EQ(feed_->ends_under_way(), (std::vector<int64_t>{10})) << "whoever starts next cuts it alike";
    add(8, 20);
    EXPECT_EQ(feed_->ready_at(true), TimePoint::min());
    EXPECT_EQ(deliver(true), "0-9");
    EXPECT_EQ(deliver(true), "10-27");
    EXPECT_EQ(back_.size(), 4u);
    EXPECT_EQ(feed_->position(), 28);
    EXPECT_TRUE(feed_->idle());
}

TEST_F(Feeding, WithoutOrderRememberedRangesAreCutFromWhatIsCopiedWhileOthersAreUnderWay) {
    limit(4, false);
    feed_->remember({3, 9, 12});
    const auto& first = add(0, 5);
    RecordRange* a = take(true);
    ASSERT_TRUE(a);
    EXPECT_EQ(a->last_offset, 2);
    EXPECT_FALSE(take(true));
    settle();
    add(5, 2);
    settle();
    EXPECT_FALSE(back_.contains(&first)) << "it is being sent";
    EXPECT_EQ(back_.size(), 1u);
    add(7, 3);
    settle();
    RecordRange* b = take(true);
    ASSERT_TRUE(b);
    EXPECT_EQ(b->first_offset, 3);
    EXPECT_EQ(b->last_offset, 8);
    for (int64_t offset = 3, i = 0; const auto& piece : b->pieces)
        for (i = piece.first; i < piece.end; i++) EXPECT_EQ(piece.batch->record(static_cast<size_t>(i)).offset(), offset++);
    settle();
    EXPECT_EQ(feed_->ends_under_way(), (std::vector<int64_t>{3, 9, 12}));
    add(10, 4);
    RecordRange* c = take(true);
    ASSERT_TRUE(c);
    EXPECT_EQ(c->first_offset, 9);
    EXPECT_EQ(c->last_offset, 11);
    feed_->delivered(*c);
    feed_->delivered(*b);
    feed_->delivered(*a);
    settle();
    EXPECT_EQ(feed_->position(), 12);
    EXPECT_EQ(deliver(true), "12-13");
    EXPECT_EQ(back_.size(), 4u);
    EXPECT_TRUE(feed_->idle());
}

TEST_F(Feeding, DoesNotGatherMoreThanARequestCanHaveHeld) {
    limit(100);
    feed_->remember({1000});
    for (int64_t i = 0; i < 4; i++) {
        EXPECT_EQ(deliver(true), "-");
        auto& batch = *batches_.emplace_back(std::make_unique<Batch>());
        batch.begin(assignment_, i);
        batch.add(i, 0, std::string(1 << 20, 'x'));
        feed_->add(batch, 0, now_);
        settle();
    }
    EXPECT_EQ(deliver(true), "0-0");
}

TEST_F(Feeding, DoesNotWaitForeverForRecordsThatAreGone) {
    limit(4);
    feed_->remember({1000});
    add(0, 2);
    now_ += 29s;
    EXPECT_EQ(deliver(), "-");
    now_ += 1s;
    EXPECT_EQ(deliver(), "0-1");
}

TEST_F(Feeding, GapsMoveThePosition) {
    limit(2);
    add(0, 2, 5);
    EXPECT_EQ(deliver(), "0-1");
    EXPECT_EQ(feed_->position(), 7);
    add(7, 0, 3);  // nothing but a gap
    settle();
    EXPECT_EQ(feed_->position(), 10);
    EXPECT_TRUE(feed_->idle());
    EXPECT_EQ(back_.size(), 2u);
}

TEST_F(Feeding, ARecordLargerThanTheLimitGoesAlone) {
    feed_ = std::make_unique<PartitionFeed>(RangeLimits{100, 3, 5ms, true});
    add(10000, 3);
    EXPECT_EQ(deliver(), "10000-10000");
    EXPECT_EQ(deliver(), "10001-10001");
}

TEST_F(Feeding, DroppingGivesEveryBatchBackOnce) {
    limit(2);
    add(0, 3);
    add(3, 3);
    take();
    feed_->drop([&](const Batch& batch) { EXPECT_TRUE(back_.insert(&batch).second); });
    EXPECT_EQ(back_.size(), 2u);
    EXPECT_TRUE(feed_->idle());
}

}  // namespace
}  // namespace fetcher
