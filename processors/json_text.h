// JSON text, looked at without taking it apart (RFC 8259). In the header what the data path calls for each scalar.
// Thread: any
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace fetcher::json_text {

constexpr size_t kDeepest = 1'000;  // how far objects and arrays may lie within each other

// Whether it is one JSON value, whatever its numbers are, and UTF-8.
bool is_json(std::string_view text);

struct StringTraits {
    bool ascii = true;  // false: it may hold other bytes, of which nothing is said
    bool escapes = false;
};

// --- parts -------------------------------------------------------------------------------------------------------------------

constexpr char kLastControl = 0x1F;

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_hex(char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }
inline bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
// Ends the simple part of a string: a quote, a backslash, a control character.
inline bool is_stop(char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) <= kLastControl; }

#ifdef __SSE2__
// Some bytes of a string at once.
struct Block {
    static constexpr size_t kBytes = 16;
    size_t first_stop;  // kBytes or more: there is none
    bool ascii;

    explicit Block(const char* at) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
        const __m128i controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(kLastControl)), bytes);
        first_stop = static_cast<size_t>(std::countr_zero(static_cast<uint32_t>(_mm_movemask_epi8(_mm_or_si128(marks, controls)))));
        ascii = _mm_movemask_epi8(bytes) == 0;
    }
};
#endif

inline const char* skip_digits(const char* at, const char* end) {
    const char* const begin = at;
    while (at < end && is_digit(*at)) at++;
    return at == begin ? nullptr : at;
}

// Behind the backslash.
inline const char* skip_escape(const char* at, const char* end) {
    if (at == end) return nullptr;
    if (*at != 'u') return *at != '\0' && std::strchr("\"\\/bfnrt", *at) ? at + 1 : nullptr;
    return end - at > 4 && std::all_of(at + 1, at + 5, is_hex) ? at + 5 : nullptr;
}

inline const char* skip_word(const char* at, const char* end, std::string_view word) {
    if (static_cast<size_t>(end - at) < word.size() || std::memcmp(at, word.data(), word.size()) != 0) return nullptr;
    return at + word.size();
}


// Each of these begins where the thing begins and returns what is behind it; nullptr: there is none before `end`.

inline const char* skip_space(const char* at, const char* end) {
    while (at < end && is_space(*at)) at++;
    return at;
}

inline const char* skip_number(const char* at, const char* end) {
    if (at < end && *at == '-') at++;
    if (at == end) return nullptr;
    at = *at == '0' ? at + 1 : skip_digits(at, end);
    if (at && at < end && *at == '.') at = skip_digits(at + 1, end);
    if (!at || at == end || (*at | 0x20) != 'e') return at;
    at++;
    if (at < end && (*at == '+' || *at == '-')) at++;
    return skip_digits(at, end);
}

// With its quotes. Up to `readable`, end or more, anything may be read.
inline const char* skip_string(const char* at, const char* end, const char* readable, StringTraits& traits) {
    at++;
    for (;;) {
#ifdef __SSE2__
        while (at < end && static_cast<size_t>(readable - at) >= Block::kBytes) {
            const Block block(at);
            traits.ascii &= block.ascii;
            at += std::min(block.first_stop, Block::kBytes);
            if (block.first_stop < Block::kBytes) break;
        }
#endif
        for (; at < end && !is_stop(*at); at++) traits.ascii &= static_cast<unsigned char>(*at) < 0x80;
        if (at >= end) return nullptr;
        if (*at == '"') return at + 1;
        if (*at != '\\') return nullptr;
        traits.escapes = true;
        at = skip_escape(at + 1, end);
        if (!at) return nullptr;
    }
}

// A string, a number, true, false, null.
inline const char* skip_scalar(const char* at, const char* end, const char* readable, StringTraits& traits) {
    if (at == end) return nullptr;
    switch (*at) {
        case '"': return skip_string(at, end, readable, traits);
        case 't': return skip_word(at, end, "true");
        case 'f': return skip_word(at, end, "false");
        case 'n': return skip_word(at, end, "null");
        default: return skip_number(at, end);
    }
}

}  // namespace fetcher::json_text
