#include "processors/file_sink_options.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "processors/file_sink_type.h"

namespace fetcher {
namespace {

const ProcessorOwner kOwner{"c1", "group", "topic"};
const ProcessorEnvironment kEnvironment{"node-1", {"/data", "/var/log"}};

std::vector<ConfigProblem> check(const nlohmann::json& config) { return FileSinkType().check(config, kOwner, kEnvironment); }

TEST(FileSinkOptions, TakesTheSeedsConfigAndItsDefaults) {
    const nlohmann::json config{{"file_path", "/var/log/payment_messages.log"}};
    EXPECT_TRUE(check(config).empty());
    const auto options = FileSinkOptions::from(config);
    EXPECT_EQ(options.format.name(), "raw");
    EXPECT_EQ(options.rotate_bytes, 0U);
    EXPECT_EQ(options.rotate_interval.count(), 0);
    EXPECT_EQ(options.fsync_interval, std::chrono::milliseconds(100));
    EXPECT_EQ(options.path_for(kOwner, kEnvironment, 3), "/var/log/payment_messages.log");
}

TEST(FileSinkOptions, ReadsEveryOption) {
    const auto options = FileSinkOptions::from({{"file_path", "/data/{topic}/{instance}/{consumer_id}-{partition}"},
                                                {"format", "ndjson"},
                                                {"compression", "zstd"},
                                                {"rotate_bytes", 1},
                                                {"rotate_interval", "5m"},
                                                {"fsync_interval", "0ms"}});
    EXPECT_EQ(options.format.name(), "ndjson zstd");
    EXPECT_EQ(options.rotate_bytes, 1U);
    EXPECT_EQ(options.rotate_interval, std::chrono::minutes(5));
    EXPECT_EQ(options.fsync_interval.count(), 0);
    EXPECT_EQ(options.path_for(kOwner, kEnvironment, 3), "/data/topic/node-1/c1-3");
}

TEST(FileSinkOptions, APathOutsideTheRootsIsRefusedWithTheRemedy) {
    for (const char* path : {"/etc/passwd", "/database/x", "/data", "/var/logs/x"}) {
        const auto problems = check({{"file_path", path}});
        ASSERT_EQ(problems.size(), 1U) << path;
        EXPECT_EQ(problems[0].pointer, "/file_path");
        EXPECT_NE(problems[0].detail.find("FILE_SINK_ROOTS"), std::string::npos);
        EXPECT_NE(problems[0].detail.find("/data:/var/log"), std::string::npos);
    }
}

TEST(FileSinkOptions, EveryProblemNamesItsOption) {
    EXPECT_EQ(check({{"file_path", "/data/{nope}"}}).at(0).pointer, "/file_path");
    EXPECT_EQ(check({{"file_path", "/data/../etc/x"}}).at(0).pointer, "/file_path");
    EXPECT_EQ(check({{"file_path", "/data/a"}, {"fsync_interval", "99999999999s"}}).at(0).pointer, "/fsync_interval");
    EXPECT_EQ(check({{"file_path", "/data/a"}, {"fsync_interval", "61m"}}).at(0).pointer, "/fsync_interval");
    EXPECT_EQ(check({{"file_path", "/data/a"}, {"rotate_interval", "soon"}}).at(0).pointer, "/rotate_interval");
}

TEST(FileSinkOptions, TheServersOwnFilesAreRefusedWhateverFillsThePathIn) {
    for (const char* path : {"/data/kafka-fetcher.db", "/data/sub/kafka-fetcher.lock", "/data//./kafka-fetcher.instance_id",
                             "/data/kafka-fetcher.{partition}", "/data/kafka-fetcher.db/{topic}.log"}) {
        const auto problems = check({{"file_path", path}});
        ASSERT_EQ(problems.size(), 1U) << path;
        EXPECT_EQ(problems[0].pointer, "/file_path");
        EXPECT_NE(problems[0].detail.find("server's own files"), std::string::npos) << problems[0].detail;
    }
    const ProcessorOwner owner{"c1", "group", "kafka-fetcher.db"};
    EXPECT_EQ(FileSinkType().check({{"file_path", "/data/{topic}"}}, owner, kEnvironment).size(), 1U);
    EXPECT_TRUE(FileSinkType().check({{"file_path", "/data/all-{topic}"}}, owner, kEnvironment).empty());
}

TEST(FileSinkOptions, ATopicThatMakesTheNameTooLongIsRefused) {
    const ProcessorOwner owner{"c1", "group", std::string(249, 't')};
    EXPECT_EQ(FileSinkType().check({{"file_path", "/data/{topic}.log"}}, owner, kEnvironment).size(), 1U);
    EXPECT_TRUE(FileSinkType().check({{"file_path", "/data/{topic}/a.log"}}, owner, kEnvironment).empty());
}

TEST(FileSinkOptions, TwoNamesOfOnePathAreOneClaim) {
    const FileSinkType type;
    const auto claim = [&](const char* path) { return type.claim({{"file_path", path}}, kOwner, kEnvironment); };
    EXPECT_EQ(claim("/data/topic-{partition}.log"), "file /data/topic-{partition}.log");
    EXPECT_EQ(claim("/data//./{topic}-{partition}.log"), claim("/data/topic-{partition}.log"));
    EXPECT_NE(claim("/data/a.log"), claim("/data/b.log"));
}

TEST(FileSinkOptions, NoSinkIsMadeOfARefusedConfig) {
    const auto sink = FileSinkType().make({{"file_path", "/etc/x"}}, kOwner, kEnvironment);
    ASSERT_FALSE(sink);
    EXPECT_NE(sink.error().reason.find("FILE_SINK_ROOTS"), std::string::npos);
}

}  // namespace
}  // namespace fetcher
