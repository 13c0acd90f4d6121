#include "processors/range_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "processors/streaming_forwarder_type.h"

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

TEST(ForgettingConsumers, TheFilesOfThoseThatAreNoMoreAreRemovedAndNoOthers) {
    const std::string data = ::testing::TempDir() + "forgetting_" + std::to_string(::getpid());
    const std::string folder = data + "/kafka-fetcher.forwarder";
    const auto files = [&] {
        std::set<std::string> names;
        for (const auto& file : fs::directory_iterator(folder)) names.insert(file.path().filename());
        return names;
    };
    ProcessorEnvironment environment;
    StreamingForwarderType().forget_all_but({}, environment);  // it has no folder
    environment.data_dir = data;
    StreamingForwarderType().forget_all_but({}, environment);  // nothing was ever kept
    ASSERT_TRUE(fs::create_directories(folder));
    for (const char* name : {"a-b-01234567-0", "a-b-01234567-12", "a-b-89abcdef-0", "a-01234567-0", "notes-of-somebody"})
        std::ofstream(folder + "/" + name) << "x";
    StreamingForwarderType().forget_all_but({"a", "other"}, environment);
    EXPECT_EQ(files(), (std::set<std::string>{"a-01234567-0", "notes-of-somebody"}));
    fs::remove_all(data);
}

TEST(ForgettingConsumers, WhatIsKeptIsFoundByItsName) {
    const std::string data = ::testing::TempDir() + "forgetting_made_" + std::to_string(::getpid());
    fs::create_directories(data);
    ProcessorEnvironment environment;
    environment.data_dir = data;
    const StreamingForwarderType type;
    auto forwarder = type.make({{"endpoint_url", "http://127.0.0.1:1/"}}, {"c-1", "g", "t", {}}, environment);
    ASSERT_TRUE(forwarder) << forwarder.error().reason;
    const auto assignment = std::make_shared<Assignment>();
    ASSERT_TRUE((*forwarder)->open(assignment));
    forwarder->reset();
    const fs::path folder = data + "/kafka-fetcher.forwarder";
    type.forget_all_but({"c-1"}, environment);
    EXPECT_FALSE(fs::is_empty(folder));
    type.forget_all_but({"c-2"}, environment);
    EXPECT_TRUE(fs::is_empty(folder));
    fs::remove_all(data);
}

}  // namespace
}  // namespace fetcher
