#include "batch_tally.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "sink_world.h"

namespace fetcher {
namespace {

// The example of processors/README.md, used as the engine uses it.
TEST(BatchTally, CountsEveryBatch) {
    const std::string path = testing::TempDir() + "batch_tally_" + std::to_string(::getpid());
    ProcessorRegistry registry;
    registry.add(std::make_unique<BatchTallyType>());
    const ProcessorType* type = registry.find("batch_tally");
    ASSERT_NE(type, nullptr);
    const nlohmann::json config{{"path", path}};
    EXPECT_TRUE(type->check(config, {}, {}).empty());
    EXPECT_EQ(type->check({{"path", "relative"}}, {}, {}).front().pointer, "/path");

    auto processor = *type->make(config, {}, {});
    RecordingAcks acks;
    processor->bind(acks);
    const auto assignment = make_assignment(4);
    const auto position = processor->open(assignment);
    ASSERT_TRUE(position);
    EXPECT_FALSE(*position);
    Batch batch;
    batch.begin(assignment, 10);
    for (int i = 0; i < 5; i++) batch.add(10 + i, 0, "v");
    EXPECT_EQ(processor->write(batch, 0).kind, Outcome::Kind::durable);
    EXPECT_EQ(processor->write(batch, 3).kind, Outcome::Kind::durable);
    processor->close(*assignment);

    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    EXPECT_EQ(text.str(), "topic 4 15 5\ntopic 4 15 2\n");
    std::filesystem::remove(path);
}

TEST(BatchTally, SaysWhyItCannotOpenItsFile) {
    BatchTally tally("/no/such/folder/file");
    const auto opened = tally.open(make_assignment(0));
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().reason.find("/no/such/folder/file"), std::string::npos);
}

}  // namespace
}  // namespace fetcher
