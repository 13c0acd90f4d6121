#include "processors/row_block.h"

#include <gtest/gtest.h>

#include "sink_world.h"

namespace fetcher {
namespace {

class Rows : public ::testing::Test {
  protected:
    void add(uint32_t move, const std::string& text, uint32_t key = RowBlock::kNoKey) {
        const size_t begin = block_.size_bytes();
        block_.bytes().append(text);
        block_.add_row(begin, static_cast<int64_t>(block_.rows().size()), move, key);
    }
    std::vector<std::string> pieces() const {
        std::vector<std::string> all;
        for (const auto piece : block_.pieces()) all.emplace_back(piece);
        return all;
    }

    RowBlock block_;
    std::shared_ptr<Assignment> zero_ = make_assignment(0), one_ = make_assignment(1);
};

TEST_F(Rows, AreOnePieceWhereNothingIsLeftOut) {
    const auto move = block_.move_of(zero_, 5, "id");
    add(move, "a");
    add(move, "b");
    EXPECT_EQ(block_.move_of(zero_, 99, "id"), move);
    EXPECT_EQ(block_.move(move).from, 5);
    EXPECT_EQ(pieces(), (std::vector<std::string>{"ab"}));
    EXPECT_EQ(block_.pieces({1}).size(), 1U);
}

TEST_F(Rows, OfARevokedPartitionAreLeftOut) {
    const auto zero = block_.move_of(zero_, 0, "id"), one = block_.move_of(one_, 0, "id");
    add(zero, "a");
    add(one, "b");
    add(zero, "c");
    one_->revoked = true;
    EXPECT_TRUE(block_.drop_revoked());
    EXPECT_EQ(pieces(), (std::vector<std::string>{"a", "c"}));
    zero_->revoked = true;
    EXPECT_FALSE(block_.drop_revoked());
    EXPECT_TRUE(pieces().empty());
}

TEST_F(Rows, OfOneKeyOnlyTheLastCounts) {
    const auto move = block_.move_of(zero_, 0, "id");
    add(move, "a1", 0);
    add(move, "b1", 1);
    add(move, "a2", 0);
    add(move, "c1", 2);
    EXPECT_EQ(pieces(), (std::vector<std::string>{"b1a2c1"}));
    const auto first_half = block_.pieces({0, 1});
    ASSERT_EQ(first_half.size(), 1U);
    EXPECT_EQ(first_half.front(), "a1b1");
}

}  // namespace
}  // namespace fetcher
