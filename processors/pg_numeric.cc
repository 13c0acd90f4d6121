#include "processors/pg_numeric.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "processors/pg_value.h"

namespace fetcher {
namespace {

constexpr size_t kGroupDigits = 4;  // the format's digits are of base 10,000
constexpr int kMostDigits = 4'000;
constexpr uint16_t kNegative = 0x4000;
constexpr uint16_t kNotANumber = 0xC000;

struct Decimal {
    bool negative = false;
    std::string whole;     // digits before the point
    std::string fraction;  // after it
};

std::string_view take_digits(std::string_view& text) {
    size_t n = 0;
    while (n < text.size() && text[n] >= '0' && text[n] <= '9') n++;
    const auto digits = text.substr(0, n);
    text.remove_prefix(n);
    return digits;
}

std::optional<int> take_exponent(std::string_view text) {
    if (text.empty()) return 0;
    if (text[0] != 'e' && text[0] != 'E') return std::nullopt;
    text.remove_prefix(text.size() > 1 && text[1] == '+' ? 2 : 1);
    int exponent = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), exponent);
    if (error != std::errc() || end != text.data() + text.size() || exponent > kMostDigits || exponent < -kMostDigits) return std::nullopt;
    return exponent;
}

std::optional<Decimal> parse_decimal(std::string_view text) {
    Decimal number;
    if (text.starts_with('-') || text.starts_with('+')) {
        number.negative = text[0] == '-';
        text.remove_prefix(1);
    }
    number.whole = take_digits(text);
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        number.fraction = take_digits(text);
    }
    if (number.whole.empty() && number.fraction.empty()) return std::nullopt;
    const auto exponent = take_exponent(text);
    if (!exponent || number.whole.size() + number.fraction.size() > kMostDigits) return std::nullopt;
    // The point moves.
    if (*exponent > 0) {
        const auto moved = static_cast<size_t>(*exponent);
        if (number.fraction.size() < moved) number.fraction.append(moved - number.fraction.size(), '0');
        number.whole += number.fraction.substr(0, moved);
        number.fraction.erase(0, moved);
    } else if (*exponent < 0) {
        const auto moved = static_cast<size_t>(-*exponent);
        if (number.whole.size() < moved) number.whole.insert(0, moved - number.whole.size(), '0');
        number.fraction.insert(0, number.whole.substr(number.whole.size() - moved));
        number.whole.resize(number.whole.size() - moved);
    }
    return number;
}

uint16_t group_at(std::string_view digits, size_t group) {
    unsigned value = 0;
    for (size_t i = 0; i < kGroupDigits; i++) value = value * 10 + static_cast<unsigned>(digits[group * kGroupDigits + i] - '0');
    return static_cast<uint16_t>(value);
}

void append_header(uint16_t digits, uint16_t weight, uint16_t sign, uint16_t scale, ByteBuffer& into) {
    const uint32_t bytes = 8 + 2U * digits;
    char* at = pg::put(into.room(4 + bytes), bytes);
    for (const uint16_t part : {digits, weight, sign, scale}) at = pg::put(at, part);
    into.commit(12);
}

// Digits of base 10,000: whole_groups of them before the point, the others after it; scale decimal digits after it are shown.
void append_groups(std::span<const uint16_t> groups, size_t whole_groups, bool negative, size_t scale, ByteBuffer& into) {
    size_t begin = 0, end = groups.size();
    while (begin < end && groups[begin] == 0) begin++;
    while (end > begin && groups[end - 1] == 0) end--;
    if (begin == end) return append_header(0, 0, 0, static_cast<uint16_t>(scale), into);
    const auto weight = static_cast<uint16_t>(static_cast<int>(whole_groups) - 1 - static_cast<int>(begin));
    append_header(static_cast<uint16_t>(end - begin), weight, negative ? kNegative : 0, static_cast<uint16_t>(scale), into);
    char* at = into.room(2 * (end - begin));
    for (size_t group = begin; group < end; group++) at = pg::put(at, groups[group]);
    into.commit(2 * (end - begin));
}

// The common case, without memory of its own: up to 16 digits on either side of the point, no exponent. False: it is another.
bool append_short(std::string_view text, ByteBuffer& into) {
    constexpr size_t kMostGroups = 4;
    const bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    const auto whole = take_digits(text);
    std::string_view fraction;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        fraction = take_digits(text);
    }
    if (!text.empty() || whole.empty() || whole.size() > kMostGroups * kGroupDigits || fraction.size() > kMostGroups * kGroupDigits) return false;
    std::array<uint16_t, 2 * kMostGroups> groups;
    size_t count = 0;
    for (size_t i = 0, left = whole.size(); left > 0; count++) {
        unsigned value = 0;
        for (const size_t until = i + (left - 1) % kGroupDigits + 1; i < until; i++, left--) value = value * 10 + static_cast<unsigned>(whole[i] - '0');
        groups[count] = static_cast<uint16_t>(value);
    }
    const size_t whole_groups = count;
    for (size_t i = 0; i < fraction.size(); count++) {
        unsigned value = 0;
        for (const size_t until = i + kGroupDigits; i < until; i++) value = value * 10 + (i < fraction.size() ? static_cast<unsigned>(fraction[i] - '0') : 0);
        groups[count] = static_cast<uint16_t>(value);
    }
    append_groups({groups.data(), count}, whole_groups, negative, fraction.size(), into);
    return true;
}

}  // namespace

bool append_numeric(std::string_view text, ByteBuffer& into) {
    if (append_short(text, into)) return true;
    if (text == "NaN") {
        append_header(0, 0, kNotANumber, 0, into);
        return true;
    }
    auto number = parse_decimal(text);
    if (!number) return false;
    const size_t scale = number->fraction.size();
    number->whole.insert(0, (kGroupDigits - number->whole.size() % kGroupDigits) % kGroupDigits, '0');
    number->fraction.append((kGroupDigits - number->fraction.size() % kGroupDigits) % kGroupDigits, '0');
    const size_t whole_groups = number->whole.size() / kGroupDigits;
    const std::string digits = number->whole + number->fraction;
    std::vector<uint16_t> groups(digits.size() / kGroupDigits);
    for (size_t group = 0; group < groups.size(); group++) groups[group] = group_at(digits, group);
    append_groups(groups, whole_groups, number->negative, scale, into);
    return true;
}

}  // namespace fetcher
