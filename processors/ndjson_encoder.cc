#include "processors/ndjson_encoder.h"

#include <simdjson.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>

#include "engine/assignment.h"

namespace fetcher {
namespace {

constexpr size_t kNumberBytes = 20;  // of an int64_t with its sign

void append_number(int64_t number, ByteBuffer& into) {
    char* at = into.room(kNumberBytes);
    into.commit(static_cast<size_t>(std::to_chars(at, at + kNumberBytes, number).ptr - at));
}

// What follows the backslash; 0: needs none, 'u': the long form.
constexpr std::array<char, 256> make_escapes() {
    std::array<char, 256> table{};
    for (size_t c = 0; c < 0x20; c++) table[c] = 'u';
    table['\b'] = 'b';
    table['\f'] = 'f';
    table['\n'] = 'n';
    table['\r'] = 'r';
    table['\t'] = 't';
    table['"'] = '"';
    table['\\'] = '\\';
    return table;
}
constexpr auto kEscapes = make_escapes();

// Whether one of eight bytes is a control character, a quote or a backslash.
bool needs_escape(uint64_t word) {
    constexpr uint64_t kOnes = 0x0101010101010101;
    constexpr uint64_t kHigh = 0x8080808080808080;
    const uint64_t quote = word ^ (kOnes * '"');
    const uint64_t slash = word ^ (kOnes * '\\');
    const uint64_t control = (word - kOnes * 0x20) & ~word;
    return ((control | ((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash)) & kHigh) != 0;
}

char* escape_byte(unsigned char c, char* to) {
    constexpr const char* kHex = "0123456789abcdef";
    const char code = kEscapes[c];
    if (code == 0) {
        *to++ = static_cast<char>(c);
        return to;
    }
    *to++ = '\\';
    *to++ = code;
    if (code == 'u') {
        *to++ = '0';
        *to++ = '0';
        *to++ = kHex[c >> 4];
        *to++ = kHex[c & 15];
    }
    return to;
}

// Escapes as much as fits; `to` has room for six bytes of each byte of text.
char* escape(std::string_view text, char* to) {
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end) {
        uint64_t word;
        while (end - at >= 8) {
            std::memcpy(&word, at, 8);
            if (needs_escape(word)) break;
            std::memcpy(to, at, 8);
            at += 8;
            to += 8;
        }
        const char* const stop = end - at >= 8 ? at + 8 : end;
        while (at < stop) to = escape_byte(static_cast<unsigned char>(*at++), to);
    }
    return to;
}

void append_string(std::string_view text, ByteBuffer& into) {
    constexpr size_t kPieceBytes = 16384;  // bounds the room asked for six-fold growth
    into.append('"');
    while (!text.empty()) {
        const auto piece = text.substr(0, kPieceBytes);
        char* to = into.room(piece.size() * 6);
        into.commit(static_cast<size_t>(escape(piece, to) - to));
        text.remove_prefix(piece.size());
    }
    into.append('"');
}

void append_base64(std::string_view bytes, ByteBuffer& into) {
    constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char* to = into.room((bytes.size() + 2) / 3 * 4);
    char* const begin = to;
    const auto byte = [&](size_t i) { return i < bytes.size() ? static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])) : 0; };
    for (size_t i = 0; i < bytes.size(); i += 3) {
        const uint32_t group = (byte(i) << 16) | (byte(i + 1) << 8) | byte(i + 2);
        *to++ = kDigits[group >> 18];
        *to++ = kDigits[(group >> 12) & 63];
        *to++ = i + 1 < bytes.size() ? kDigits[(group >> 6) & 63] : '=';
        *to++ = i + 2 < bytes.size() ? kDigits[group & 63] : '=';
    }
    into.commit(static_cast<size_t>(to - begin));
}

void append_optional(const std::optional<std::string_view>& text, ByteBuffer& into, NdjsonEncoder::Nul nul = NdjsonEncoder::Nul::escaped) {
    if (text) {
        NdjsonEncoder::append_text(*text, into, nul);
    } else {
        into.append("null");
    }
}

}  // namespace

void NdjsonEncoder::append_headers(const Record& record, Nul nul, ByteBuffer& into) {
    bool first = true;
    record.for_each_header([&](const Header& header) {
        into.append(first ? "{\"name\":" : ",{\"name\":");
        first = false;
        append_text(header.name, into, nul);
        into.append(",\"value\":");
        append_optional(header.value, into, nul);
        into.append('}');
    });
}

void NdjsonEncoder::append_text(std::string_view text, ByteBuffer& into, Nul nul) {
    const bool taken = nul == Nul::escaped || text.find('\0') == std::string_view::npos;
    if (text.empty() || (taken && simdjson::validate_utf8(text.data(), text.size()))) {
        append_string(text, into);
        return;
    }
    into.append("{\"base64\":\"");
    append_base64(text, into);
    into.append("\"}");
}

void NdjsonEncoder::begin_partition(const Assignment& assignment) {
    if (partition_ == assignment.partition && topic_ == assignment.topic) return;
    topic_ = assignment.topic;
    partition_ = assignment.partition;
    ByteBuffer text;
    text.append("{\"topic\":");
    append_text(topic_, text);
    text.append(",\"partition\":");
    append_number(partition_, text);
    text.append(",\"offset\":");
    prefix_ = text.view();
}

void NdjsonEncoder::append_record(const Record& record, ByteBuffer& into) {
    into.append(prefix_);
    append_number(record.offset(), into);
    into.append(",\"timestamp\":");
    append_number(record.timestamp_ms(), into);
    into.append(",\"key\":");
    append_optional(record.key(), into);
    into.append(",\"headers\":[");
    append_headers(record, Nul::escaped, into);
    into.append("],\"value\":");
    append_optional(record.value(), into);
    into.append("}\n");
}

size_t NdjsonEncoder::encode(const Batch& batch, size_t first, size_t enough_bytes, size_t limit_bytes, ByteBuffer& into) {
    begin_partition(batch.assignment());
    for (size_t i = first; i < batch.size(); i++) {
        const size_t before = into.size();
        append_record(batch.record(i), into);
        if (into.size() > limit_bytes && i > first) {
            into.truncate(before);
            return i;
        }
        if (into.size() >= enough_bytes) return i + 1;
    }
    return batch.size();
}

}  // namespace fetcher
