#include "processors/pg_value.h"

#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "processors/pg_numeric.h"
#include "processors/pg_time.h"

namespace fetcher {
namespace {

constexpr std::array<std::pair<std::string_view, PgType>, 19> kTypes{{{"bool", PgType::boolean},
                                                                      {"int2", PgType::int2},
                                                                      {"int4", PgType::int4},
                                                                      {"int8", PgType::int8},
                                                                      {"float4", PgType::float4},
                                                                      {"float8", PgType::float8},
                                                                      {"numeric", PgType::numeric},
                                                                      {"text", PgType::text},
                                                                      {"varchar", PgType::text},
                                                                      {"bpchar", PgType::text},
                                                                      {"citext", PgType::text},
                                                                      {"enum", PgType::text},
                                                                      {"json", PgType::json},
                                                                      {"jsonb", PgType::jsonb},
                                                                      {"bytea", PgType::bytea},
                                                                      {"uuid", PgType::uuid},
                                                                      {"date", PgType::date},
                                                                      {"timestamp", PgType::timestamp},
                                                                      {"timestamptz", PgType::timestamptz}}};
constexpr int64_t kMicrosecondsADay = int64_t{86'400} * 1'000'000;
constexpr int64_t kEpoch2000Milliseconds = int64_t{946'684'800} * 1'000;

template <class Number>
void append_number(Number number, ByteBuffer& into) {
    using Unsigned = std::conditional_t<sizeof(Number) == 8, uint64_t, std::conditional_t<sizeof(Number) == 4, uint32_t, uint16_t>>;
    Unsigned bits;
    std::memcpy(&bits, &number, sizeof bits);
    char* at = into.room(4 + sizeof bits);
    at = pg::put(at, static_cast<uint32_t>(sizeof bits));
    pg::put(at, bits);
    into.commit(4 + sizeof bits);
}

template <class Number>
bool append_if_fits(int64_t number, ByteBuffer& into) {
    if (number < std::numeric_limits<Number>::min() || number > std::numeric_limits<Number>::max()) return false;
    append_number(static_cast<Number>(number), into);
    return true;
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

// Whole numbers that cannot overflow; nullopt: ask parse_number.
std::optional<int64_t> parse_short_integer(std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    if (text.empty() || text.size() > 18) return std::nullopt;
    int64_t number = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        number = number * 10 + (c - '0');
    }
    return negative ? -number : number;
}

// Also "12.0" and "1e3", which some producers write for whole numbers.
std::optional<int64_t> parse_integer(std::string_view text) {
    if (const auto number = parse_short_integer(text)) return number;
    if (const auto number = parse_number<int64_t>(text)) return number;
    const auto number = parse_number<double>(text);
    constexpr double kExact = 9'007'199'254'740'992.0;  // beyond it a double has lost digits
    if (!number || !(*number >= -kExact && *number <= kExact)) return std::nullopt;
    const auto whole = static_cast<int64_t>(*number);
    if (static_cast<double>(whole) != *number) return std::nullopt;
    return whole;
}

template <class Number>
bool append_floating(std::string_view text, ByteBuffer& into) {
    const auto number = parse_number<Number>(text);
    if (!number) return false;
    append_number(*number, into);
    return true;
}

bool append_boolean(std::string_view text, ByteBuffer& into) {
    const bool yes = text == "true" || text == "t" || text == "1";
    if (!yes && text != "false" && text != "f" && text != "0") return false;
    *pg::put(into.room(5), uint32_t{1}) = yes ? 1 : 0;
    into.commit(5);
    return true;
}

bool append_uuid(std::string_view text, ByteBuffer& into) {
    if (text.size() == 36 && (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-')) return false;
    if (text.size() != 36 && text.size() != 32) return false;
    std::array<char, 16> bytes{};
    size_t digits = 0;
    for (const char c : text) {
        if (c == '-' && text.size() == 36) continue;
        const auto letter = static_cast<unsigned char>((c | 0x20) - 'a');
        const auto digit = static_cast<unsigned char>(c - '0');
        if ((digit > 9 && letter > 5) || digits == 32) return false;
        const unsigned nibble = digit <= 9 ? digit : letter + 10U;
        bytes[digits / 2] = static_cast<char>(static_cast<unsigned char>(bytes[digits / 2]) | (digits % 2 ? nibble : nibble << 4));
        digits++;
    }
    if (digits != 32) return false;
    pg::append_bytes({bytes.data(), bytes.size()}, into);
    return true;
}

int64_t floor_divide(int64_t number, int64_t by) { return number / by - (number % by < 0 ? 1 : 0); }

bool append_microseconds(PgType type, int64_t since_2000, ByteBuffer& into) {
    if (type == PgType::date) return append_if_fits<int32_t>(floor_divide(since_2000, kMicrosecondsADay), into);
    append_number(since_2000, into);
    return true;
}

bool append_time(PgType type, std::string_view text, ByteBuffer& into) {
    const bool dated = text.size() > 4 && text[4] == '-';
    if (!dated)
        if (const auto milliseconds = parse_number<int64_t>(text)) return pg::append_milliseconds(type, *milliseconds, into);
    // A timestamp without time zone and a date keep what the text shows; with a zone the moment counts.
    const auto microseconds = parse_time(text, type == PgType::timestamptz ? TimeZone::utc : TimeZone::as_written);
    return microseconds && append_microseconds(type, *microseconds, into);
}

bool append_jsonb(std::string_view text, ByteBuffer& into) {
    char* at = into.room(5 + text.size());
    at = pg::put(at, static_cast<uint32_t>(text.size() + 1));
    *at++ = 1;  // the format's version
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    into.commit(5 + text.size());
    return true;
}

}  // namespace

std::optional<PgType> pg_type_named(std::string_view name) {
    for (const auto& [known, type] : kTypes)
        if (known == name) return type;
    return std::nullopt;
}

std::string known_pg_types() {
    std::string words;
    for (const auto& [known, type] : kTypes) words.append(words.empty() ? "" : ", ").append(known);
    return words;
}

namespace pg {

void append_null(ByteBuffer& into) {
    put(into.room(4), uint32_t{0xFFFFFFFF});
    into.commit(4);
}

void append_bytes(std::string_view bytes, ByteBuffer& into) {
    char* at = put(into.room(4 + bytes.size()), static_cast<uint32_t>(bytes.size()));
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    into.commit(4 + bytes.size());
}

bool append_integer(PgType type, int64_t number, ByteBuffer& into) {
    switch (type) {
        case PgType::int2: return append_if_fits<int16_t>(number, into);
        case PgType::int4: return append_if_fits<int32_t>(number, into);
        case PgType::int8: return append_if_fits<int64_t>(number, into);
        default: break;
    }
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    return append_text_as(type, {digits.data(), static_cast<size_t>(end - digits.data())}, into);
}

bool append_milliseconds(PgType type, int64_t milliseconds, ByteBuffer& into) {
    if (type != PgType::timestamptz && type != PgType::timestamp && type != PgType::date) return append_integer(type, milliseconds, into);
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 1'000 - kEpoch2000Milliseconds;
    if (milliseconds > kMost || milliseconds < -kMost) return false;
    return append_microseconds(type, (milliseconds - kEpoch2000Milliseconds) * 1'000, into);
}

bool append_text_as(PgType type, std::string_view text, ByteBuffer& into) {
    switch (type) {
        case PgType::boolean: return append_boolean(text, into);
        case PgType::int2:
        case PgType::int4:
        case PgType::int8: {
            const auto number = parse_integer(text);
            return number && append_integer(type, *number, into);
        }
        case PgType::float4: return append_floating<float>(text, into);
        case PgType::float8: return append_floating<double>(text, into);
        case PgType::numeric: return append_numeric(text, into);
        case PgType::jsonb: return append_jsonb(text, into);
        case PgType::uuid: return append_uuid(text, into);
        case PgType::date:
        case PgType::timestamp:
        case PgType::timestamptz: return append_time(type, text, into);
        case PgType::text:
        case PgType::json:
        case PgType::bytea: append_bytes(text, into); return true;
    }
    return false;
}

}  // namespace pg
}  // namespace fetcher
