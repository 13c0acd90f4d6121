// FileSink and others: who may write a file, and what is done with one that is there already.
#include <nlohmann/json.hpp>

#include "file_sink_fixture.h"

namespace fetcher {
namespace {

TEST_F(FileSinkOnDisk, ASecondConsumerIsToldWhoHoldsTheFile) {
    ASSERT_TRUE(open(p0_));
    FileSink second(options_, {"consumer-2", "group-2", "topic"}, {"instance-1", {"/root"}}, disk_);
    second.bind(acks_);
    const auto refused = second.open(make_assignment(0, "group-2"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::transient);
    EXPECT_NE(refused.error().reason.find("consumer-1"), std::string::npos) << refused.error().reason;
    sink_->close(*p0_);
    EXPECT_TRUE(second.open(make_assignment(0, "group-2")));
}

TEST_F(FileSinkOnDisk, PartitionsOfOneFileReleaseItTogether) {
    ASSERT_TRUE(open(p0_));
    ASSERT_TRUE(open(p1_));
    sink_->close(*p0_);
    FileSink second(options_, {"consumer-2", "group-2", "topic"}, {"instance-1", {"/root"}}, disk_);
    second.bind(acks_);
    EXPECT_FALSE(second.open(make_assignment(0, "group-2")));
    sink_->close(*p1_);
    EXPECT_TRUE(second.open(make_assignment(0, "group-2")));
}

TEST_F(FileSinkOnDisk, WithPartitionInThePathEachHasItsOwnFileAndLock) {
    options_.file_path = "/root/{topic}/{partition}.log";
    ASSERT_TRUE(open(p0_));
    ASSERT_TRUE(open(p1_));
    write(p0_, 0, {"a"});
    write(p1_, 0, {"b"});
    ASSERT_EQ(sink_->flush().kind, kDurable);
    EXPECT_EQ(*disk_.content("/root/topic/0.log"), "a\n");
    EXPECT_EQ(*disk_.content("/root/topic/1.log"), "b\n");
    FileSink second(options_, {"consumer-1", "group", "topic"}, {"instance-2", {"/root"}}, disk_);
    second.bind(acks_);
    sink_->close(*p1_);
    EXPECT_FALSE(second.open(make_assignment(0)));
    EXPECT_EQ((*second.open(make_assignment(1)))->next_offset, 1);  // moved to another process, with its position
}

TEST_F(FileSinkOnDisk, ClosingWhatWasNeverOpenedIsHarmless) {
    start();
    sink_->close(*p0_);
    EXPECT_EQ(sink_->flush().kind, kDurable);
}

TEST_F(FileSinkOnDisk, AForeignFileIsContinuedOnALineOfItsOwn) {
    start();
    disk_.close(disk_.open_root("/root"));
    disk_.put(kPath, "somebody's\nhalf a line");
    const auto position = open(p0_);
    ASSERT_TRUE(position);
    EXPECT_FALSE(*position);
    write(p0_, 0, {"ours"});
    EXPECT_EQ(content(), "somebody's\nhalf a line\nours\n");
    ASSERT_TRUE(reopen(p0_));  // nothing was safe: it is as it was found, to the byte
    EXPECT_EQ(content(), "somebody's\nhalf a line");
    write(p0_, 0, {"ours"});
    sink_->flush();
    ASSERT_TRUE(reopen(p0_));
    EXPECT_EQ(content(), "somebody's\nhalf a line\nours\n");
}

TEST_F(FileSinkOnDisk, AForeignFileOfTheOtherCompressionIsRefused) {
    disk_.close(disk_.open_root("/root"));
    disk_.put(kPath, "\x28\xb5\x2f\xfd rest");
    EXPECT_FALSE(open(p0_));
    disk_.put(kPath, "text");
    options_.format.compression = Compression::zstd;
    EXPECT_FALSE(reopen(p0_));
}

TEST_F(FileSinkOnDisk, AnotherFormatBeginsAnotherFile) {
    ASSERT_TRUE(open(p0_));
    write(p0_, 0, {"raw"});
    sink_->flush();
    options_.format.framing = Framing::ndjson;
    start();
    ASSERT_TRUE(open(p0_));
    write(p0_, 1, {"json"});
    ASSERT_EQ(sink_->flush().kind, kDurable);
    EXPECT_EQ(nlohmann::json::parse(content())["value"], "json");
    EXPECT_EQ(*disk_.content("/root/f.20231114T221320Z-000001.log"), "raw\n");
}

}  // namespace
}  // namespace fetcher
