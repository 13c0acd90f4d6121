// FileSink when somebody else has been at its file or its checkpoint.
#include "file_sink_fixture.h"

namespace fetcher {
namespace {

class FileSinkTampered : public FileSinkOnDisk {
  protected:
    void SetUp() override {
        ASSERT_TRUE(open(p0_));
        write(p0_, 0, {"safe"});
        ASSERT_EQ(sink_->flush().kind, kDurable);
        write(p0_, 1, {"not yet safe"});
    }
    void expect_noticed(const char* word) {
        const auto outcome = sink_->flush();
        EXPECT_EQ(outcome.kind, kFatal);
        EXPECT_NE(outcome.reason.find(word), std::string::npos) << outcome.reason;
        EXPECT_NE(outcome.reason.find("/root/f.log"), std::string::npos) << outcome.reason;
        EXPECT_EQ(acks_.durable_below(0), 1);
    }
    void expect_refused(const char* word) {
        const auto opened = reopen(p0_);
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().kind, ErrorKind::fatal);
        EXPECT_NE(opened.error().reason.find(word), std::string::npos) << opened.error().reason;
        EXPECT_NE(opened.error().reason.find("checkpoint"), std::string::npos) << opened.error().reason;
    }
};

TEST_F(FileSinkTampered, ADeletedFileIsNoticedBeforeTheAck) {
    disk_.remove(kPath);
    expect_noticed("deleted");
    expect_refused("missing");
}

TEST_F(FileSinkTampered, AReplacedFileIsNoticedBeforeTheAck) {
    disk_.replace(kPath, "safe\nnot yet safe\n");
    expect_noticed("deleted");  // ours has no name any more
    expect_refused("replaced");
}

TEST_F(FileSinkTampered, ATruncatedFileIsNoticedBeforeTheAck) {
    disk_.put(kPath, "");
    expect_noticed("truncated");
    expect_refused("truncated");
}

TEST_F(FileSinkTampered, AFileTruncatedAndGrownAgainIsNoticed) {
    disk_.put(kPath, "");
    write(p0_, 2, {"more than the checkpoint has seen"});
    expect_noticed("truncated");
    expect_refused("edited or truncated");
}

TEST_F(FileSinkTampered, ASecondWriterIsNoticed) {
    disk_.put(kPath, content() + "who is that?\n");
    expect_noticed("somebody else");
    ASSERT_TRUE(reopen(p0_));
    EXPECT_EQ(content(), "safe\n");
}

TEST_F(FileSinkTampered, AnEditedFileIsRefused) {
    disk_.put(kPath, "SAFE\nnot yet safe\n");
    expect_refused("edited");
}

TEST_F(FileSinkTampered, ADeletedCheckpointIsNoticedBeforeTheAck) {
    disk_.remove(kCheckpoint);
    expect_noticed("deleted");
}

TEST_F(FileSinkTampered, ADamagedCheckpointIsRefused) {
    disk_.put(kCheckpoint, "rubbish");
    expect_refused("damaged");
}

TEST_F(FileSinkTampered, MovingTheCheckpointAwayStartsAnewBehindWhatIsThere) {
    disk_.remove(kCheckpoint);
    const auto position = reopen(p0_);
    ASSERT_TRUE(position);
    EXPECT_FALSE(*position);
    write(p0_, 1, {"again"});
    ASSERT_EQ(sink_->flush().kind, kDurable);
    EXPECT_EQ(content(), "safe\nnot yet safe\nagain\n");
}

}  // namespace
}  // namespace fetcher
