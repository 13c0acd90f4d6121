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

TEST(OffsetTrackerDeath, AbortsOnAnAckOfAStranger) {
    OffsetTracker tracker({10});
    EXPECT_DEATH(tracker.durable(1, 20), "processor of this consumer");
}

}  // namespace
}  // namespace fetcher
