#include "processors/checkpoint_file.h"

#include <gtest/gtest.h>

#include <array>

#include "points.h"
#include "sim_disk.h"

namespace fetcher {
namespace {

class Checkpoint : public testing::Test {
  protected:
    Checkpoint() : folder_(*SinkFolder::open(disk_, {"/root", {}, "f.log"})) {}

    static CheckpointState state_at(uint64_t length) {
        CheckpointState state;
        state.file = "f.log";
        state.length_bytes = length;
        state.positions.entry("group", "topic", "id", 0).next_offset = static_cast<int64_t>(length);
        return state;
    }
    Result<std::optional<CheckpointFile>> open() { return CheckpointFile::open(folder_, owner_); }
    // Makes one that holds length 100 in its older slot and 200 in its newer one, and leaves it.
    std::string two_states() {
        auto file = *CheckpointFile::create(folder_, owner_, state_at(50));
        EXPECT_TRUE(file.store(state_at(100)));
        EXPECT_TRUE(file.store(state_at(200)));
        return *disk_.content(kPath);
    }

    static constexpr const char* kPath = "/root/f.log.checkpoint";
    SimDisk disk_;
    SinkFolder folder_;
    SinkOwner owner_{4711, "instance-1", "consumer-1"};
};

TEST_F(Checkpoint, IsNotThereBeforeItIsMade) {
    const auto none = open();
    ASSERT_TRUE(none);
    EXPECT_FALSE(*none);
}

TEST_F(Checkpoint, GivesBackWhatWasStoredLast) {
    two_states();
    const auto file = open();
    ASSERT_TRUE(file && *file);
    EXPECT_EQ((*file)->state().length_bytes, 200U);
    EXPECT_FALSE((*file)->fell_back());
    EXPECT_EQ((*file)->state().positions.find("group", "topic", 0)->next_offset, 200);
}

// The newest state, or the other slot's, or a refusal; never anything else.
TEST_F(Checkpoint, RefusesEveryFlippedByte) {
    const auto intact = two_states();
    std::array<size_t, 3> tried{};  // of the owner's block and of each slot
    std::array<size_t, 3> older{};  // thereof: gave back the older state
    ASSERT_EQ(intact.size(), 3 * 4096U);
    for (size_t at = first_point("flipped"); at < intact.size(); at += point_step()) {
        auto damaged = intact;
        damaged[at] = static_cast<char>(damaged[at] ^ (at % 2 == 0 ? 0x01 : 0x80));
        disk_.put(kPath, damaged);
        const auto file = open();
        if (!file) FAIL() << "one slot was intact, byte " << at << ": " << file.error().reason;
        const auto length = (*file)->state().length_bytes;
        ASSERT_TRUE(length == 200 || length == 100) << "byte " << at;
        // Whoever continues must know that the state may be older than what was acknowledged.
        ASSERT_EQ((*file)->fell_back(), at >= 4096) << "byte " << at;
        tried[at / 4096]++;
        older[at / 4096] += length == 100;
    }
    // Every byte of the newer slot, and none of the older one or of the owner's block.
    const size_t newer_slot = older[1] > 0 ? 1 : 2;
    EXPECT_EQ(older[newer_slot], tried[newer_slot]);
    EXPECT_EQ(older[0] + older[3 - newer_slot], 0U);
    EXPECT_GT(tried[newer_slot], 0U);
}

TEST_F(Checkpoint, RefusesWhenBothSlotsAreFlipped) {
    const auto intact = two_states();
    for (size_t at = first_point("both"); at < 4096; at += point_step()) {
        auto damaged = intact;
        damaged[4096 + at] = static_cast<char>(~damaged[4096 + at]);
        damaged[8192 + (at * 7) % 4096] = static_cast<char>(~damaged[8192 + (at * 7) % 4096]);
        disk_.put(kPath, damaged);
        const auto file = open();
        ASSERT_FALSE(file) << at;
        ASSERT_EQ(file.error().kind, ErrorKind::fatal);
    }
}

TEST_F(Checkpoint, RefusesEveryCut) {
    const auto intact = two_states();
    for (size_t length = first_point("cut"); length < intact.size(); length += point_step()) {
        disk_.put(kPath, intact.substr(0, length));
        const auto file = open();
        ASSERT_FALSE(file) << length;
        ASSERT_EQ(file.error().kind, ErrorKind::fatal);
        ASSERT_NE(file.error().reason.find("damaged"), std::string::npos);
    }
}

TEST_F(Checkpoint, RefusesEveryCutThatIsFilledWithZeros) {
    const auto intact = two_states();
    for (size_t length = first_point("zeros"); length < intact.size(); length += point_step()) {
        auto torn = intact.substr(0, length);
        torn.resize(intact.size(), '\0');
        disk_.put(kPath, torn);
        const auto file = open();
        if (file) {
            ASSERT_TRUE((*file)->state().length_bytes == 100 || (*file)->state().length_bytes == 200) << length;
        }
    }
}

TEST_F(Checkpoint, RefusesTheCheckpointOfAnotherFile) {
    const auto intact = two_states();
    disk_.put("/root/g.log.checkpoint", intact);
    const auto other = *SinkFolder::open(disk_, {"/root", {}, "g.log"});
    const auto file = CheckpointFile::open(other, owner_);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().kind, ErrorKind::fatal);
}

TEST_F(Checkpoint, TellsASecondOwnerWhoTheFirstIs) {
    const auto first = *CheckpointFile::create(folder_, owner_, state_at(1));
    const auto second = CheckpointFile::open(folder_, {1, "instance-2", "consumer-2"});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::transient);
    for (const char* part : {"/root/f.log is being written", "4711", "instance-1", "consumer-1"}) {
        EXPECT_NE(second.error().reason.find(part), std::string::npos) << second.error().reason;
    }
}

TEST_F(Checkpoint, IsFreeAgainWhenItsOwnerLeaves) {
    { const auto first = *CheckpointFile::create(folder_, owner_, state_at(1)); }
    EXPECT_TRUE(open());
}

TEST_F(Checkpoint, GrowsWithoutLettingGoOfItsLockOrItsState) {
    auto file = *CheckpointFile::create(folder_, owner_, state_at(7));
    CheckpointState large = state_at(7);
    for (int p = 0; p < 500; p++) large.positions.entry("group", "topic", "id", p);
    EXPECT_FALSE(file.has_room_for(large));
    ASSERT_TRUE(file.grow_for(large));
    EXPECT_TRUE(file.has_room_for(large));
    EXPECT_FALSE(open()) << "the lock is held";
    for (int p = 0; p < 500; p++) large.positions.entry("group", "topic", "id", p).next_offset = INT64_MAX;
    ASSERT_TRUE(file.store(large));
    EXPECT_TRUE(file.check_in_place());
}

TEST_F(Checkpoint, NeedsNoRoomOnAFullDisk) {
    auto file = *CheckpointFile::create(folder_, owner_, state_at(1));
    disk_.set_capacity(0);
    for (uint64_t length = 2; length < 50; length++) ASSERT_TRUE(file.store(state_at(length)));
}

TEST_F(Checkpoint, ThatDoesNotFitOnTheDiskIsATransientError) {
    disk_.set_capacity(5000);
    const auto file = CheckpointFile::create(folder_, owner_, state_at(1));
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().kind, ErrorKind::transient);
    EXPECT_NE(file.error().reason.find("disk full"), std::string::npos);
    EXPECT_FALSE(disk_.content(kPath));
}

TEST_F(Checkpoint, NoticesThatItWasDeletedOrReplaced) {
    auto file = *CheckpointFile::create(folder_, owner_, state_at(1));
    EXPECT_TRUE(file.check_in_place());
    disk_.replace(kPath, "x");
    EXPECT_FALSE(file.check_in_place());
    disk_.remove(kPath);
    EXPECT_FALSE(file.check_in_place());
}

}  // namespace
}  // namespace fetcher
