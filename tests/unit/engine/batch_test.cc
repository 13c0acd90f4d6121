#include "engine/batch.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/assignment.h"

namespace fetcher {
namespace {

std::shared_ptr<Assignment> an_assignment() { return std::make_shared<Assignment>(); }

TEST(Batch, KeepsNullEmptyBinaryAndNewlinesApart) {
    Batch batch;
    batch.begin(an_assignment(), 10);
    const std::string binary("a\0\nb", 4);
    batch.add(10, 1, std::nullopt);
    batch.add(11, 2, "");
    batch.add(14, 3, binary);
    ASSERT_EQ(batch.size(), 3u);
    EXPECT_EQ(batch.record(0).value(), std::nullopt);
    EXPECT_EQ(batch.record(1).value(), "");
    EXPECT_EQ(batch.record(2).value(), binary);
    EXPECT_EQ(batch.record(2).offset(), 14);
    EXPECT_EQ(batch.next_offset(), 15);
    EXPECT_EQ(batch.framed_values(0), "\n\na" + std::string("\0", 1) + "\nb\n");
    EXPECT_EQ(batch.framed_values(2), binary + "\n");
    EXPECT_EQ(batch.framed_values(3), "");
    EXPECT_EQ(batch.value_bytes(), 4u);
}

TEST(Batch, KeepsKeysAndHeadersInOrderWithNullsAndRepeats) {
    Batch batch;
    batch.begin(an_assignment(), 0);
    batch.add(0, 1, "v");
    batch.add_key("k");
    batch.add_header("trace", "1");
    batch.add_header("trace", std::nullopt);
    batch.add_header("", "");
    batch.add(1, 1, "w");
    batch.add_key(std::nullopt);
    batch.add(2, 1, "x");
    batch.add_key("");
    batch.add_header("only", "h");
    EXPECT_EQ(batch.record(0).key(), "k");
    EXPECT_EQ(batch.record(1).key(), std::nullopt);
    EXPECT_EQ(batch.record(2).key(), "");
    std::vector<std::pair<std::string, std::string>> seen;
    for (size_t i = 0; i < batch.size(); i++) {
        batch.record(i).for_each_header([&](const Header& h) { seen.emplace_back(h.name, h.value ? std::string(*h.value) : "<null>"); });
    }
    EXPECT_EQ(seen, (std::vector<std::pair<std::string, std::string>>{{"trace", "1"}, {"trace", "<null>"}, {"", ""}, {"only", "h"}}));
}

TEST(Batch, FindsWhereToGoOnInALogWithGaps) {
    Batch batch;
    batch.begin(an_assignment(), 5);
    for (const int64_t offset : {7, 9, 20}) batch.add(offset, 0, "v");
    EXPECT_EQ(batch.lower_bound(0), 0u);
    EXPECT_EQ(batch.lower_bound(7), 0u);
    EXPECT_EQ(batch.lower_bound(8), 1u);
    EXPECT_EQ(batch.lower_bound(20), 2u);
    EXPECT_EQ(batch.lower_bound(21), 3u);
}

TEST(Batch, GrowsForRecordsLargerThanItsArenaAndStartsAnewEmpty) {
    Batch batch;
    batch.reserve(16, 1);
    batch.begin(an_assignment(), 0);
    const std::string large(5 << 20, 'x');
    batch.add(0, 0, "small");
    batch.add(1, 0, large);
    EXPECT_EQ(batch.record(0).value(), "small");
    EXPECT_EQ(batch.record(1).value(), large);
    batch.begin(an_assignment(), 100);
    EXPECT_TRUE(batch.empty());
    EXPECT_EQ(batch.first_offset(), 100);
    EXPECT_EQ(batch.next_offset(), 100);
}

TEST(BatchDeath, AbortsWhenOffsetsGoBack) {
    Batch batch;
    batch.begin(an_assignment(), 5);
    batch.add(5, 0, "v");
    EXPECT_DEATH(batch.add(5, 0, "again"), "offset order");
}

TEST(Batch, TellsTheLeaderEpochOfTheLastRecordBelowAPosition) {
    Batch batch;
    batch.begin(std::make_shared<Assignment>(), 10, {3, 9});
    EXPECT_EQ(batch.leader_epoch(10), (LeaderEpoch{3, 9})) << "an empty one keeps what came before it";
    batch.epochs.starts = {{8, 3}, {14, 5}};
    for (const int64_t offset : {10, 11, 14, 15}) batch.add(offset, 1, "x");
    batch.set_next_offset(20);
    EXPECT_EQ(batch.leader_epoch(10), (LeaderEpoch{3, 9}));
    EXPECT_EQ(batch.leader_epoch(13), (LeaderEpoch{3, 12}));
    EXPECT_EQ(batch.leader_epoch(14), (LeaderEpoch{3, 12}));
    EXPECT_EQ(batch.leader_epoch(15), (LeaderEpoch{5, 15}));
    EXPECT_EQ(batch.leader_epoch(20), (LeaderEpoch{5, 16}));
    Batch copy;
    copy.copy_without(batch, {3});
    EXPECT_EQ(copy.leader_epoch(20), (LeaderEpoch{5, 15}));
    batch.begin(std::make_shared<Assignment>(), 20);
    batch.add(20, 1, "x");
    EXPECT_FALSE(batch.leader_epoch(21).is_known());
}

}  // namespace
}  // namespace fetcher
