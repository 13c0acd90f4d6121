// The records that load and fault tests send: one printable line each that says what it is and proves that it is whole.
//
//   KFR1 <run: 8 hex> <partition: 5> <sequence: 12> <produced at, ns since 1970: 19> <checksum: 16 hex> <padding up to the size>
//
// Sequence numbers are dense from 0 in each partition, so a reader can tell loss, duplication and order without knowing the producer.
// Nothing in it needs escaping in JSON. The checksum covers every byte but its own.
// Thread: any
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace fetcher::testing {

struct RecordHeader {
    uint32_t run = 0;
    uint32_t partition = 0;
    uint64_t sequence = 0;
    uint64_t produced_ns = 0;
};

inline constexpr std::string_view kRecordMagic = "KFR1 ";
inline constexpr size_t kChecksumBegin = kRecordMagic.size() + 8 + 1 + 5 + 1 + 12 + 1 + 19 + 1;
inline constexpr size_t kChecksumEnd = kChecksumBegin + 16;
inline constexpr size_t kPaddingBegin = kChecksumEnd + 1;
inline constexpr size_t kMinRecordBytes = kPaddingBegin;
inline constexpr uint32_t kMaxPartition = 99'999;
inline constexpr uint64_t kMaxSequence = 999'999'999'999;

namespace detail {

inline uint64_t mix(uint64_t hash, const char* at, size_t bytes) {
    constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15;
    hash ^= bytes;
    while (bytes > 0) {
        uint64_t word = 0;
        const size_t n = bytes < sizeof word ? bytes : sizeof word;
        if (n == sizeof word) std::memcpy(&word, at, sizeof word);
        else std::memcpy(&word, at, n);
        hash = (hash ^ word) * kMultiplier;
        hash ^= hash >> 29;
        at += n;
        bytes -= n;
    }
    return hash;
}

inline uint64_t record_checksum(std::string_view record) {
    const uint64_t head = mix(0x5851F42D4C957F2D, record.data(), kChecksumBegin);
    return mix(head, record.data() + kChecksumEnd, record.size() - kChecksumEnd);
}

inline void put_decimal(char* at, size_t width, uint64_t value) {
    for (size_t i = width; i-- > 0; value /= 10) at[i] = static_cast<char>('0' + value % 10);
}

inline void put_hex(char* at, size_t width, uint64_t value) {
    for (size_t i = width; i-- > 0; value >>= 4) at[i] = "0123456789abcdef"[value & 15];
}

// The readers leave `ok` false after a byte that does not belong there.
inline uint64_t take_decimal(const char* at, size_t width, bool& ok) {
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) {
        const auto digit = static_cast<unsigned char>(at[i] - '0');
        ok &= digit < 10;
        value = value * 10 + digit;
    }
    return value;
}

inline uint64_t take_hex(const char* at, size_t width, bool& ok) {
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) {
        const auto digit = static_cast<unsigned char>(at[i] - '0');
        const auto letter = static_cast<unsigned char>(at[i] - 'a');
        ok &= digit < 10 || letter < 6;
        value = value << 4 | (digit < 10 ? digit : letter + 10U);
    }
    return value;
}

}  // namespace detail

// Writes a record of `bytes` (at least kMinRecordBytes) whose padding already stands at kPaddingBegin.
inline void encode_record(char* at, size_t bytes, const RecordHeader& header) {
    using namespace detail;
    std::memset(at, ' ', kPaddingBegin);
    std::memcpy(at, kRecordMagic.data(), kRecordMagic.size());
    size_t i = kRecordMagic.size();
    put_hex(at + i, 8, header.run);
    i += 9;
    put_decimal(at + i, 5, header.partition);
    i += 6;
    put_decimal(at + i, 12, header.sequence);
    i += 13;
    put_decimal(at + i, 19, header.produced_ns);
    put_hex(at + kChecksumBegin, 16, record_checksum({at, bytes}));
}

// nullopt: not a whole, unaltered record.
inline std::optional<RecordHeader> decode_record(std::string_view record) {
    using namespace detail;
    if (record.size() < kMinRecordBytes || !record.starts_with(kRecordMagic)) return std::nullopt;
    bool ok = true;
    RecordHeader header;
    size_t i = kRecordMagic.size();
    header.run = static_cast<uint32_t>(take_hex(record.data() + i, 8, ok));
    i += 9;
    header.partition = static_cast<uint32_t>(take_decimal(record.data() + i, 5, ok));
    i += 6;
    header.sequence = take_decimal(record.data() + i, 12, ok);
    i += 13;
    header.produced_ns = take_decimal(record.data() + i, 19, ok);
    const uint64_t stated = take_hex(record.data() + kChecksumBegin, 16, ok);
    if (!ok || stated != record_checksum(record)) return std::nullopt;
    return header;
}

}  // namespace fetcher::testing
