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
    EXPECT_EQ(feed_->ready_at(), now_ + 10ms);
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

TEST_F(Feeding, DoesNotWaitForeverForRecordsThatAreGone) {
    limit(4);
    feed_->remember({1000});
    add(0, 2);
    now_ += 4s;
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
