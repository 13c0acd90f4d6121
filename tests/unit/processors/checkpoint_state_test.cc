#include "processors/checkpoint_state.h"

#include <gtest/gtest.h>

#include <random>

#include "processors/crc32c.h"

namespace fetcher {
namespace {

CheckpointState some_state() {
    CheckpointState state;
    state.sequence = 41;
    state.file = "payments \"é\".log";
    state.inode = UINT64_MAX;
    state.length_bytes = uint64_t{1} << 60;
    state.tail = {4096, 0xdeadbeef};
    state.content = "ndjson zstd";
    state.begun_ms = 1'700'000'000'000;
    state.rotations = 3;
    state.rotating_to = "payments.1.log";
    state.positions.entry("group", "topic", "id", 0).next_offset = 17;
    state.positions.entry("group", "topic", "id", 1) = {INT64_MAX, {7, 5}};
    return state;
}

TEST(Crc32c, IsCastagnolis) {
    EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
    EXPECT_EQ(crc32c(""), 0U);
    EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
    EXPECT_EQ(hex32(0x00abcdefU), "00abcdef");
}

TEST(CheckpointState, ReadsWhatItWrote) {
    const auto slot = encode_slot(some_state(), 4096);
    EXPECT_EQ(slot.size(), 4096U);
    EXPECT_EQ(slot.back(), '\n');
    EXPECT_EQ(slot.find('\n'), slot.size() - 1);  // one line: a person can read it
    const auto state = decode_slot(slot);
    ASSERT_TRUE(state && *state);
    EXPECT_EQ(**state, some_state());
}

TEST(CheckpointState, RefusesEveryFlippedBit) {
    const auto slot = encode_slot(some_state(), 4096);
    for (size_t at = 0; at < slot.size(); at++) {
        for (int bit = 0; bit < 8; bit++) {
            auto damaged = slot;
            damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
            const auto state = decode_slot(damaged);
            ASSERT_TRUE(state) << at;
            ASSERT_FALSE(*state) << "byte " << at << " bit " << bit;
        }
    }
}

TEST(CheckpointState, RefusesEveryCut) {
    const auto slot = encode_slot(some_state(), 4096);
    for (size_t length = 0; length < slot.size(); length++) {
        const auto state = decode_slot(slot.substr(0, length));
        ASSERT_TRUE(state && !*state) << length;
        auto zeroed = slot.substr(0, length);
        zeroed.resize(slot.size(), '\0');
        const auto torn = decode_slot(zeroed);
        ASSERT_TRUE(torn && !*torn) << length;
    }
}

TEST(CheckpointState, RefusesNoise) {
    std::mt19937 random(7);
    for (int i = 0; i < 2000; i++) {
        std::string noise(random() % 5000, '\0');
        for (auto& c : noise) c = static_cast<char>(random());
        const auto state = decode_slot(noise);
        ASSERT_TRUE(state && !*state);
    }
}

// With a valid CRC around it, as somebody with an editor and a CRC could write it.
std::string sealed(std::string text) {
    std::string slot = "{\"crc32c\":\"00000000\"," + text;
    slot.replace(11, 8, hex32(crc32c(slot)));
    return slot;
}

TEST(CheckpointState, RefusesOtherShapesUnderAValidCrc) {
    for (const char* text :
         {"}", "\"version\":1}", "\"version\":\"1\"}", "\"version\":1,\"sequence\":1", "x", "",
          R"("version":1,"sequence":1,"file":1,"inode":1,"length_bytes":1,"content":"raw","begun_ms":1,"rotations":1,"rotating_to":"","tail":{"bytes":1,"crc32c":1},"positions":{}})",
          R"("version":1,"sequence":1,"file":"f","inode":1,"length_bytes":1.5,"content":"raw","begun_ms":1,"rotations":1,"rotating_to":"","tail":{"bytes":1,"crc32c":1},"positions":{}})",
          R"("version":1,"sequence":1,"file":"f","inode":1,"length_bytes":1,"content":"raw","begun_ms":1,"rotations":1,"rotating_to":"","tail":[],"positions":{}})",
          R"("version":1,"sequence":1,"file":"f","inode":1,"length_bytes":1,"content":"raw","begun_ms":1,"rotations":1,"rotating_to":"","tail":{"bytes":1,"crc32c":1},"positions":[]})"}) {
        const auto state = decode_slot(sealed(text));
        EXPECT_TRUE(state && !*state) << text;
    }
}

// As written before leader epochs were kept.
TEST(CheckpointState, ReadsOneWithoutLeaderEpochs) {
    const auto state = decode_slot(sealed(R"("version":1,"sequence":1,"file":"f","inode":1,"length_bytes":1,"content":"raw","begun_ms":1,"rotations":1,"rotating_to":"","tail":{"bytes":1,"crc32c":1},"positions":{"g":{"t":{"id":{"0":7}}}}})"));
    ASSERT_TRUE(state && *state);
    const auto position = (*state)->positions.find("g", "t", 0);
    ASSERT_TRUE(position);
    EXPECT_EQ(position->next_offset, 7);
    EXPECT_EQ(position->last, LeaderEpoch{});
}

TEST(CheckpointState, SaysThatItIsOfANewerVersion) {
    const auto state = decode_slot(sealed("\"version\":2,\"anything\":{}}"));
    ASSERT_FALSE(state);
    EXPECT_EQ(state.error().kind, ErrorKind::fatal);
    EXPECT_NE(state.error().reason.find("version 2"), std::string::npos);
}

TEST(CheckpointState, ASlotHasRoomForWhateverItsNumbersGrowTo) {
    for (const int partitions : {0, 1, 50, 100, 120, 150, 1000}) {
        CheckpointState state;
        state.file = std::string(215, 'f');
        for (int p = 0; p < partitions; p++) state.positions.entry("group", "topic", "id", p);
        const size_t bytes = slot_bytes_for(state);
        state.sequence = state.inode = state.length_bytes = state.rotations = UINT64_MAX;
        state.begun_ms = INT64_MAX;
        state.tail = {UINT32_MAX, UINT32_MAX};
        state.content = "ndjson zstd";
        state.rotating_to = std::string(255, 'r');
        for (int p = 0; p < partitions; p++) state.positions.entry("group", "topic", "id", p) = {INT64_MAX, {INT32_MAX, INT64_MAX}};
        const auto slot = encode_slot(state, bytes);  // aborts if it does not fit
        EXPECT_EQ(**decode_slot(slot), state);
    }
}

}  // namespace
}  // namespace fetcher
