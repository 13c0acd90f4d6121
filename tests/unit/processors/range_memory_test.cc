#include "processors/range_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace fetcher {
namespace {

namespace fs = std::filesystem;

class Remembering : public ::testing::Test {
  protected:
    Remembering() { fs::remove_all(folder_); }
    ~Remembering() override { fs::remove_all(folder_); }
    std::unique_ptr<RangeMemory> open() {
        auto memory = RangeMemory::open(folder_, "m");
        EXPECT_TRUE(memory);
        return std::move(*memory);
    }
    std::string content() const {
        std::stringstream text;
        text << std::ifstream(folder_ + "/m").rdbuf();
        return text.str();
    }
    const std::string folder_ = ::testing::TempDir() + "range_memory_" + std::to_string(::getpid());
};

TEST_F(Remembering, KnowsNothingAtFirst) {
    EXPECT_EQ(open()->last(), RememberedRanges{});
}

TEST_F(Remembering, KeepsTheLastOfLongAndShortLines) {
    const RememberedRanges many{123456789012, "topic-id", std::vector<int64_t>(RangeMemory::kMostEnds, INT64_MAX)};
    const RememberedRanges few{7, "", {8}};
    ASSERT_TRUE(open()->store(many));
    EXPECT_EQ(open()->last(), many);
    EXPECT_LT(content().size(), 4096u) << "within one page";
    ASSERT_TRUE(open()->store(few));
    EXPECT_EQ(open()->last(), few);
}

TEST_F(Remembering, TakesADamagedFileForAnEmptyOne) {
    ASSERT_TRUE(open()->store({7, "id", {8, 9}}));
    const std::string good = content();
    for (size_t i = 0; i < good.size(); i++) {
        std::string damaged = good;
        if (good[i] == ' ') continue;  // between checksum and text: says nothing
        damaged[i] = static_cast<char>(damaged[i] ^ 1);
        std::ofstream(folder_ + "/m") << damaged;
        EXPECT_EQ(open()->last(), RememberedRanges{}) << damaged;
        std::ofstream(folder_ + "/m") << good.substr(0, i);
        EXPECT_EQ(open()->last(), RememberedRanges{}) << i;
    }
}

}  // namespace
}  // namespace fetcher
