// FileSink finishing files and beginning the next.
#include "file_sink_fixture.h"

namespace fetcher {
namespace {

TEST_F(FileSinkOnDisk, FinishesAFileBeforeTheRecordThatWouldExceedTheLimit) {
    options_.rotate_bytes = 10;
    ASSERT_TRUE(open(p0_));
    write(p0_, 0, {"1234", "1234", "12", "123456789012345", "1", "2"});
    ASSERT_EQ(sink_->flush().kind, kDurable);
    EXPECT_EQ(disk_.files("/root"),
              (std::vector<std::string>{"f.20231114T221320Z-000001.log", "f.20231114T221320Z-000002.log",
                                        "f.20231114T221320Z-000003.log", "f.log", "f.log.checkpoint"}));
    EXPECT_EQ(*disk_.content("/root/f.20231114T221320Z-000001.log"), "1234\n1234\n");
    EXPECT_EQ(*disk_.content("/root/f.20231114T221320Z-000002.log"), "12\n");
    EXPECT_EQ(*disk_.content("/root/f.20231114T221320Z-000003.log"), "123456789012345\n");
    EXPECT_EQ(content(), "1\n2\n");
}

TEST_F(FileSinkOnDisk, FinishesAFileOfTheConfiguredAgeAlsoAcrossARestart) {
    options_.rotate_interval = std::chrono::minutes(10);
    ASSERT_TRUE(open(p0_));
    disk_.advance(std::chrono::hours(5));  // an empty file has no age
    write(p0_, 0, {"a"});
    sink_->flush();
    EXPECT_EQ(*sink_->wake_at(), disk_.now() + std::chrono::minutes(10));
    disk_.advance(std::chrono::minutes(4));
    ASSERT_TRUE(reopen(p0_));
    EXPECT_EQ(*sink_->wake_at(), disk_.now() + std::chrono::minutes(6));
    disk_.advance(std::chrono::minutes(6));
    EXPECT_EQ(sink_->on_timer().kind, kAccepted);
    EXPECT_EQ(content(), "");
    EXPECT_EQ(disk_.files("/root").size(), 3U);
    EXPECT_FALSE(sink_->wake_at());
    write(p0_, 1, {"b"});
    EXPECT_EQ(content(), "b\n");
}

TEST_F(FileSinkOnDisk, NeverTakesANameThatIsTaken) {
    options_.rotate_bytes = 1;
    ASSERT_TRUE(open(p0_));
    disk_.put("/root/f.20231114T221320Z-000001.log", "not ours");
    write(p0_, 0, {"a", "b"});
    ASSERT_EQ(sink_->flush().kind, kDurable);
    EXPECT_EQ(*disk_.content("/root/f.20231114T221320Z-000001.log"), "not ours");
    EXPECT_EQ(*disk_.content("/root/f.20231114T221320Z-000002.log"), "a\n");
    EXPECT_EQ(content(), "b\n");
}

}  // namespace
}  // namespace fetcher
