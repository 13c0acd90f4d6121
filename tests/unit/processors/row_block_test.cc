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

TEST_F(Rows, AreWrittenStepByStepWhereAllAreTooMuch) {
    const auto zero = block_.move_of(zero_, 0, "id"), one = block_.move_of(one_, std::nullopt, "id");
    add(zero, "a", 0);  // offset 0
    add(one, "b", 1);
    add(zero, "c", 0);
    add(one, "d", 1);
    add(one, "e", 1);
    block_.move(zero).to = 10;
    block_.move(one).to = 20;
    EXPECT_EQ(pieces(), (std::vector<std::string>{"c", "e"}));
    block_.limit(3);
    EXPECT_EQ(pieces(), (std::vector<std::string>{"bc"}));  // of the keys of this step the last
    EXPECT_EQ(block_.step_ends(), (std::vector<int64_t>{10, 3}));
    block_.step();
    EXPECT_TRUE(block_.moves()[zero].dropped);
    EXPECT_EQ(block_.moves()[one].from, 3);
    block_.limit(100);
    EXPECT_EQ(block_.rows_in_step(), 2U);
    EXPECT_EQ(pieces(), (std::vector<std::string>{"e"}));
    EXPECT_EQ(block_.step_ends().back(), 20);
    block_.step();
    EXPECT_FALSE(block_.drop_revoked());
}

TEST_F(Rows, BelowAPositionAreSkipped) {
    const auto zero = block_.move_of(zero_, 0, "id");
    for (const char* text : {"a", "b", "c"}) add(zero, text);
    block_.move(zero).to = 3;
    block_.skip_to(zero, 2);
    EXPECT_EQ(pieces(), (std::vector<std::string>{"c"}));
    EXPECT_EQ(block_.moves()[zero].from, 2);
    block_.skip_to(zero, 3);
    EXPECT_FALSE(block_.drop_revoked());
}

TEST_F(Rows, BelowAPositionTakeNoStepBackToThem) {
    const auto zero = block_.move_of(zero_, 0, "id");
    for (const char* text : {"a", "b", "c", "d"}) add(zero, text);
    block_.move(zero).to = 4;
    block_.skip_to(zero, 3);
    block_.limit(1);
    EXPECT_EQ(block_.step_ends(), std::vector<int64_t>{3});
    for (int n = 0; n < 3; n++) {
        block_.limit(1);
        EXPECT_TRUE(pieces().empty());
        block_.step();
        EXPECT_EQ(block_.moves()[zero].from, 3);
        EXPECT_TRUE(block_.drop_revoked());
    }
    block_.limit(1);
    EXPECT_EQ(pieces(), (std::vector<std::string>{"d"}));
    EXPECT_EQ(block_.step_ends(), std::vector<int64_t>{4});
}

}  // namespace
}  // namespace fetcher
