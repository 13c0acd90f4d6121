// What FileSink writes, where it stands, and when it says so.
#include <cerrno>

#include "file_sink_fixture.h"

namespace fetcher {
namespace {

using std::chrono::milliseconds;

// The newest slot is lost, so the group may have committed what the file no longer has: only the position counts.
TEST_F(FileSinkOnDisk, APositionFromTheOlderSlotIsAuthoritative) {
    ASSERT_TRUE(open(p0_));
    write(p0_, 0, {"one"});
    ASSERT_EQ(sink_->flush().kind, kDurable);
    write(p0_, 1, {"two"});
    ASSERT_EQ(sink_->flush().kind, kDurable);
    const auto intact = reopen(p0_);
    ASSERT_TRUE(intact && *intact);
    EXPECT_FALSE((*intact)->authoritative);
    EXPECT_EQ((*intact)->next_offset, 2);
    sink_.reset();
    auto bytes = *disk_.content(kCheckpoint);
    for (const size_t slot : {size_t{4096}, size_t{8192}}) {
        auto damaged = bytes;
        damaged[slot] = '!';
        disk_.put(kCheckpoint, damaged);
        const auto position = reopen(p0_);
        sink_.reset();
        ASSERT_TRUE(position && *position);
        EXPECT_TRUE((*position)->authoritative);
        if ((*position)->next_offset == 1) return;  // that was the newer one
        disk_.put(kCheckpoint, bytes);
    }
    FAIL() << "neither slot was the newer one";
}

TEST_F(FileSinkOnDisk, WritesValuesAsTheyAreAndATombstoneAsAnEmptyLine) {
    ASSERT_TRUE(open(p0_));
    batch_.begin(p0_, 0);
    batch_.add(0, 0, "one");
    batch_.add(1, 0, std::nullopt);
    batch_.add(2, 0, std::string_view("\0\xff\n", 3));
    EXPECT_EQ(sink_->write(batch_, 0).kind, kAccepted);
    EXPECT_EQ(content(), std::string("one\n\n\0\xff\n\n", 9));
    EXPECT_FALSE(sink_->parts().keys);
}

TEST_F(FileSinkOnDisk, WritesOnlyTheRecordsItIsShown) {
    ASSERT_TRUE(open(p0_));
    batch_.begin(p0_, 0);
    for (int i = 0; i < 4; i++) batch_.add(i, 0, std::to_string(i));
    sink_->write(batch_, 2);
    EXPECT_EQ(content(), "2\n3\n");
}

TEST_F(FileSinkOnDisk, NeverAcksBeforeTheCheckpointIsSynced) {
    std::vector<std::string> events;
    std::mutex mutex;
    class Order final : public Acks {
      public:
        Order(std::vector<std::string>& to, std::mutex& by) : events(to), mutex(by) {}
        void durable(const std::shared_ptr<Assignment>&, int64_t next) override {
            const std::lock_guard lock(mutex);
            events.push_back("ack " + std::to_string(next));
        }
        void failed(Error) override {}
        std::vector<std::string>& events;
        std::mutex& mutex;
    } order(events, mutex);
    start();
    sink_->bind(order);
    ASSERT_TRUE(open(p0_));
    sink_->close(*p0_);
    ASSERT_TRUE(open(p0_));
    disk_.on_event([&](const std::string& event) {
        const std::lock_guard lock(mutex);
        events.push_back(event);
    });
    write(p0_, 0, {"a", "b"});
    EXPECT_EQ(sink_->flush().kind, kDurable);
    EXPECT_EQ(events, (std::vector<std::string>{"append f.log", "sync_data f.log", "write_at f.log.checkpoint",
                                                "sync_data f.log.checkpoint", "ack 2"}));
    disk_.on_event(nullptr);
}

TEST_F(FileSinkOnDisk, SyncsOneIntervalAfterTheFirstUnsafeRecord) {
    ASSERT_TRUE(open(p0_));
    EXPECT_FALSE(sink_->wake_at());
    write(p0_, 0, {"a"});
    ASSERT_TRUE(sink_->wake_at());
    EXPECT_EQ(*sink_->wake_at(), disk_.now() + milliseconds(100));
    disk_.advance(milliseconds(60));
    write(p0_, 1, {"b"});
    EXPECT_EQ(*sink_->wake_at(), disk_.now() + milliseconds(40));
    disk_.advance(milliseconds(40));
    EXPECT_EQ(sink_->on_timer().kind, kAccepted);
    EXPECT_FALSE(sink_->wake_at());
    sink_.reset();  // waits for the sync
    EXPECT_TRUE(acks_.durable_below(0) == 2 || acks_.durable_below(0) == 0);  // at work, or dropped while it waited
}

TEST_F(FileSinkOnDisk, ResumesAtItsPositionAndCutsWhatIsBeyond) {
    ASSERT_TRUE(open(p0_));
    write(p0_, 0, {"a", "b"});
    sink_->flush();
    write(p0_, 2, {"lost"});
    EXPECT_EQ(content(), "a\nb\nlost\n");
    const auto position = reopen(p0_);
    ASSERT_TRUE(position && *position);
    EXPECT_EQ((*position)->next_offset, 2);
    EXPECT_EQ((*position)->topic_id, "topic-id-1");
    EXPECT_EQ(content(), "a\nb\n");
}

TEST_F(FileSinkOnDisk, AGapMovesThePositionWithoutARecord) {
    ASSERT_TRUE(open(p0_));
    batch_.begin(p0_, 5);
    batch_.set_next_offset(9);
    EXPECT_EQ(sink_->write(batch_, 0).kind, kAccepted);
    EXPECT_EQ(sink_->flush().kind, kDurable);
    EXPECT_EQ(acks_.durable_below(0), 9);
    EXPECT_EQ((*reopen(p0_))->next_offset, 9);
}

TEST_F(FileSinkOnDisk, ANewGroupStartsAnewAndTheOldOneGoesOn) {
    ASSERT_TRUE(open(p0_));
    write(p0_, 0, {"a"});
    sink_->flush();
    const auto other = make_assignment(0, "other group");
    auto position = reopen(other);
    ASSERT_TRUE(position);
    EXPECT_FALSE(*position);
    write(other, 7, {"b"});
    sink_->flush();
    EXPECT_EQ((*reopen(p0_))->next_offset, 1);
    EXPECT_EQ((*reopen(other))->next_offset, 8);
    EXPECT_EQ(content(), "a\nb\n");
}

TEST_F(FileSinkOnDisk, ATopicMadeAnewIsToldByItsIdAndMayStartLower) {
    ASSERT_TRUE(open(p0_));
    ASSERT_TRUE(open(p1_));
    write(p0_, 100, {"a"});
    write(p1_, 100, {"b"});
    sink_->flush();
    const auto anew = make_assignment(0, "group", "topic-id-2");
    EXPECT_EQ((*reopen(anew))->topic_id, "topic-id-1");
    write(anew, 0, {"c"});
    sink_->flush();
    auto position = reopen(anew);
    EXPECT_EQ((*position)->next_offset, 1);
    EXPECT_EQ((*position)->topic_id, "topic-id-2");
    // The other partition was not written since: its position still carries the old topic's id.
    EXPECT_EQ((*open(p1_))->topic_id, "topic-id-1");
}

TEST_F(FileSinkOnDisk, APartitionThatComesBackIsToldOnlyWhatIsDurable) {
    ASSERT_TRUE(open(p0_));
    ASSERT_TRUE(open(p1_));
    write(p0_, 0, {"a"});
    sink_->close(*p0_);  // given up without a flush, as after a deadline; p1 keeps the file open
    const auto position = open(p0_);
    ASSERT_TRUE(position && *position);
    EXPECT_EQ((*position)->next_offset, 1);
    disk_.restart_machine(1, true);
    sink_.reset();
    EXPECT_EQ(content(), "a\n");
}

TEST_F(FileSinkOnDisk, AFullDiskIsRetriedUntilThereIsRoom) {
    ASSERT_TRUE(open(p0_));
    write(p0_, 0, {"first"});
    disk_.set_capacity(12288 + 6 + 9);
    EXPECT_EQ(write(p0_, 1, {"second", "third"}).kind, kAccepted);  // half of it is in the file, half is kept
    EXPECT_EQ(content(), "first\nsecond\nth");
    for (int i = 0; i < 3; i++) {
        const auto outcome = write(p0_, 3, {"fourth"});
        EXPECT_EQ(outcome.kind, kRetry);
        EXPECT_NE(outcome.reason.find("disk full"), std::string::npos);
    }
    EXPECT_EQ(sink_->flush().kind, kRetry);
    EXPECT_EQ(acks_.durable_below(0), 0);
    disk_.set_capacity(UINT64_MAX);
    EXPECT_EQ(write(p0_, 3, {"fourth"}).kind, kAccepted);
    EXPECT_EQ(sink_->flush().kind, kDurable);
    EXPECT_EQ(content(), "first\nsecond\nthird\nfourth\n");
    EXPECT_EQ(acks_.durable_below(0), 4);
}

TEST_F(FileSinkOnDisk, AFullDiskIsTriedAgainByTheTimerWithoutSpinning) {
    ASSERT_TRUE(open(p0_));
    disk_.set_capacity(12288 + 3);
    EXPECT_EQ(write(p0_, 0, {"abcdef"}).kind, kAccepted);
    disk_.advance(milliseconds(100));
    EXPECT_EQ(sink_->on_timer().kind, kRetry);
    ASSERT_TRUE(sink_->wake_at());
    EXPECT_GT(*sink_->wake_at(), disk_.now());
    disk_.set_capacity(UINT64_MAX);
    disk_.advance(milliseconds(1000));
    EXPECT_EQ(sink_->on_timer().kind, kAccepted);
    EXPECT_EQ(content(), "abcdef\n");
}

TEST_F(FileSinkOnDisk, AFailedSyncIsNeverTriedOnTheSamePages) {
    ASSERT_TRUE(open(p0_));
    write(p0_, 0, {"a"});
    int syncs = 0;
    disk_.on_event([&](const std::string& event) { syncs += event == "sync_data f.log"; });
    disk_.fail_call(2, EIO);  // the size is looked at, then fdatasync
    EXPECT_EQ(sink_->flush().kind, kFatal);
    ASSERT_TRUE(acks_.failure());
    EXPECT_EQ(write(p0_, 1, {"b"}).kind, kFatal);
    EXPECT_EQ(sink_->flush().kind, kFatal);
    EXPECT_FALSE(sink_->wake_at());
    EXPECT_EQ(syncs, 0);
    EXPECT_EQ(acks_.durable_below(0), 0);
    disk_.on_event(nullptr);
    // The consumer starts again: nothing of it counts.
    ASSERT_TRUE(reopen(p0_));
    EXPECT_EQ(content(), "");
}

TEST_F(FileSinkOnDisk, ZstdFilesAreWholeAtEverySync) {
    SinkWorld world({.format = {Framing::raw, Compression::zstd}, .partitions = 1, .flush_every = 1});
    EXPECT_EQ(world.live(), std::nullopt);
    EXPECT_EQ(world.is_complete(), std::nullopt);
}

// The judge of the crash tests must see what a disk that lies leaves behind.
TEST_F(FileSinkOnDisk, TheJudgeSeesALostADoubledAndASwappedRecord) {
    SinkWorld world({});
    ASSERT_EQ(world.live(), std::nullopt);
    const auto intact = *world.disk.content("/root/in/sink.log");
    const size_t first_end = intact.find('\n') + 1;
    const size_t second_end = intact.find('\n', first_end) + 1;
    const auto first = intact.substr(0, first_end);
    const auto second = intact.substr(first_end, second_end - first_end);
    const auto rest = intact.substr(second_end);
    EXPECT_EQ(world.is_complete(), std::nullopt);
    for (const auto& bad : {second + rest, first + first + second + rest, second + first + rest, intact + "0:60:\n", intact + "x"}) {
        world.disk.put("/root/in/sink.log", bad);
        EXPECT_NE(world.is_complete(), std::nullopt);
    }
}

}  // namespace
}  // namespace fetcher
