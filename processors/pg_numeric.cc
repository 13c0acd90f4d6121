#include "processors/pg_numeric.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>

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

uint16_t group_at(const std::string& digits, size_t group) {
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

}  // namespace

bool append_numeric(std::string_view text, ByteBuffer& into) {
    if (text == "NaN") {
        append_header(0, 0, kNotANumber, 0, into);
        return true;
    }
    auto number = parse_decimal(text);
    if (!number) return false;
    const auto scale = static_cast<uint16_t>(number->fraction.size());
    number->whole.insert(0, (kGroupDigits - number->whole.size() % kGroupDigits) % kGroupDigits, '0');
    number->fraction.append((kGroupDigits - number->fraction.size() % kGroupDigits) % kGroupDigits, '0');
    const size_t whole_groups = number->whole.size() / kGroupDigits;
    const std::string digits = number->whole + number->fraction;
    size_t begin = 0, end = digits.size() / kGroupDigits;
    while (begin < end && group_at(digits, begin) == 0) begin++;
    while (end > begin && group_at(digits, end - 1) == 0) end--;
    if (begin == end) {
        append_header(0, 0, 0, scale, into);
        return true;
    }
    const auto weight = static_cast<uint16_t>(static_cast<int>(whole_groups) - 1 - static_cast<int>(begin));
    append_header(static_cast<uint16_t>(end - begin), weight, number->negative ? kNegative : 0, scale, into);
    for (size_t group = begin; group < end; group++) {
        pg::put(into.room(2), group_at(digits, group));
        into.commit(2);
    }
    return true;
}

}  // namespace fetcher
