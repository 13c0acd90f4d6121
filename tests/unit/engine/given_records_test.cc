#include "engine/given_records.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

TEST(GivenRecords, CountsWhatIsNotSafe) {
    GivenRecords given;
    given.durable(5);
    given.give(0, 10, 10);
    given.give(20, 30, 10);
    EXPECT_EQ(given.lost_below(30), 15u);
    EXPECT_EQ(given.lost_below(25), 10u);
    EXPECT_EQ(given.lost_below(-1), 0u);
    given.durable(22);
    given.durable(10);
    EXPECT_EQ(given.lost_below(30), 8u);
    given.clear();
    EXPECT_EQ(given.lost_below(30), 0u);
    given.give(30, 40, 10);
    EXPECT_EQ(given.lost_below(40), 10u);
}

TEST(GivenRecords, OffsetsWithoutRecordsAreNotCounted) {
    GivenRecords given;
    given.give(0, 1'000, 3);
    EXPECT_EQ(given.lost_below(1'000), 3u);
}

TEST(GivenRecords, VeryManyBatchesTakeNoMoreRoomAndAreStillCounted) {
    GivenRecords given;
    for (int64_t first = 0; first < 1'000'000; first += 10) given.give(first, first + 10, 10);
    EXPECT_EQ(given.lost_below(1'000'000), 1'000'000u);
    given.durable(999'990);
    EXPECT_EQ(given.lost_below(1'000'000), 10u);
}

}  // namespace
}  // namespace fetcher
