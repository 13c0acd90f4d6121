// CheckpointState: what a sink's file holds durably, as text in one slot of its checkpoint file. Pure, no I/O.
//
// A slot is one line of JSON, padded with spaces and ended by a newline. It begins with the CRC-32C of all its other bytes.
// Thread: its owner's
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/result.h"
#include "processors/positions.h"

namespace fetcher {

// The last bytes of a file below its length: tells a file that was truncated and grown again, or edited, from ours.
struct FileTail {
    uint32_t bytes = 0;
    uint32_t crc = 0;
    friend bool operator==(const FileTail&, const FileTail&) = default;
};

struct CheckpointState {
    uint64_t sequence = 0;  // rises with every slot written
    std::string file;       // name, without folder
    uint64_t inode = 0;     // of the file; the device is not kept: its number may change with a restart of the machine
    uint64_t length_bytes = 0;
    FileTail tail;
    std::string content;        // format and compression of the file: "raw", "ndjson", "raw zstd", "ndjson zstd"
    int64_t begun_ms = 0;       // when the file got its first byte, since 1970 UTC; 0: it is empty
    uint64_t rotations = 0;     // how many files were finished before this one
    std::string rotating_to;    // not empty: the file is complete and is being given this name
    Positions positions;

    friend bool operator==(const CheckpointState&, const CheckpointState&) = default;
};

inline constexpr size_t kSlotUnitBytes = 4096;

// The size of a slot, a power of two of units, that has room for the state whatever its numbers grow to.
size_t slot_bytes_for(const CheckpointState& state);

// Exactly slot_bytes long. Requires slot_bytes >= slot_bytes_for(state).
std::string encode_slot(const CheckpointState& state, size_t slot_bytes);

// nullopt: damaged, or never written. An Error: intact, but of a version that this program does not know.
Result<std::optional<CheckpointState>> decode_slot(std::string_view slot);

}  // namespace fetcher
