#include "engine/offset_tracker.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

TEST(OffsetTracker, StopsAtTheSlowestProcessor) {
    OffsetTracker tracker({100, 40});
    EXPECT_EQ(tracker.watermark(), 40);
    tracker.durable(0, 500);
    EXPECT_EQ(tracker.watermark(), 40);
    tracker.durable(1, 90);
    EXPECT_EQ(tracker.watermark(), 90);
    tracker.durable(1, 700);
    EXPECT_EQ(tracker.watermark(), 500);
}

TEST(OffsetTracker, AnAckThatComesLateChangesNothing) {
    OffsetTracker tracker({7});
    tracker.durable(0, 7);
    EXPECT_EQ(tracker.watermark(), 7);
    tracker.durable(0, 20);
    tracker.durable(0, 19);
    EXPECT_EQ(tracker.watermark(), 20);
}

TEST(OffsetTracker, NothingMayBeCommittedWhileOneIsNotKnown) {
    OffsetTracker tracker({100, OffsetTracker::kUnknown});
    EXPECT_EQ(tracker.watermark(), OffsetTracker::kUnknown);
    tracker.durable(0, 200);
    EXPECT_EQ(tracker.watermark(), OffsetTracker::kUnknown);
    tracker.durable(1, 0);
    EXPECT_EQ(tracker.watermark(), 0);
}

TEST(OffsetTracker, OneThatIsNotRequiredCountsForNothing) {
    OffsetTracker tracker({100, OffsetTracker::kUnknown, 50}, {true, false, true});
    EXPECT_EQ(tracker.watermark(), 50);
    tracker.durable(2, 300);
    EXPECT_EQ(tracker.watermark(), 100);
    tracker.durable(1, 7);
    EXPECT_EQ(tracker.watermark(), 100);
    EXPECT_EQ(tracker.position(1), 7);
}

TEST(OffsetTrackerDeath, AbortsOnAnAckOfAStranger) {
    OffsetTracker tracker({10});
    EXPECT_DEATH(tracker.durable(1, 20), "processor of this consumer");
}

}  // namespace
}  // namespace fetcher
