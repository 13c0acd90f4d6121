#include "processors/pg_time.h"

#include <chrono>

namespace fetcher {
namespace {

constexpr int64_t kMicrosecondsASecond = 1'000'000;

// Takes exactly `width` digits.
std::optional<int> take_number(std::string_view& text, size_t width) {
    if (text.size() < width) return std::nullopt;
    int number = 0;
    for (size_t i = 0; i < width; i++) {
        if (text[i] < '0' || text[i] > '9') return std::nullopt;
        number = number * 10 + (text[i] - '0');
    }
    text.remove_prefix(width);
    return number;
}

bool take(std::string_view& text, char c) {
    if (!text.starts_with(c)) return false;
    text.remove_prefix(1);
    return true;
}

std::optional<int64_t> take_date(std::string_view& text) {
    using namespace std::chrono;
    const auto y = take_number(text, 4);
    if (!y || !take(text, '-')) return std::nullopt;
    const auto m = take_number(text, 2);
    if (!m || !take(text, '-')) return std::nullopt;
    const auto d = take_number(text, 2);
    if (!d) return std::nullopt;
    const year_month_day date{year{*y}, month{static_cast<unsigned>(*m)}, day{static_cast<unsigned>(*d)}};
    if (!date.ok()) return std::nullopt;
    return (sys_days{date} - sys_days{year{2000} / January / 1}).count() * int64_t{86'400} * kMicrosecondsASecond;
}

std::optional<int64_t> take_fraction(std::string_view& text) {
    int64_t microseconds = 0;
    int digits = 0;
    for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; digits++, text.remove_prefix(1))
        if (digits < 6) microseconds = microseconds * 10 + (text[0] - '0');
    if (digits == 0) return std::nullopt;
    for (; digits < 6; digits++) microseconds *= 10;
    return microseconds;
}

std::optional<int64_t> take_clock(std::string_view& text) {
    const auto h = take_number(text, 2);
    if (!h || !take(text, ':')) return std::nullopt;
    const auto m = take_number(text, 2);
    if (!m) return std::nullopt;
    int s = 0;
    int64_t fraction = 0;
    if (take(text, ':')) {
        const auto seconds = take_number(text, 2);
        if (!seconds) return std::nullopt;
        s = *seconds;
        if (take(text, '.') || take(text, ',')) {
            const auto microseconds = take_fraction(text);
            if (!microseconds) return std::nullopt;
            fraction = *microseconds;
        }
    }
    if (*h > 23 || *m > 59 || s > 60) return std::nullopt;
    return ((*h * 60 + *m) * int64_t{60} + s) * kMicrosecondsASecond + fraction;
}

std::optional<int64_t> take_zone(std::string_view& text) {
    if (text.empty() || take(text, 'Z') || take(text, 'z')) return 0;
    const bool west = text[0] == '-';
    if (!take(text, '+') && !take(text, '-')) return std::nullopt;
    const auto h = take_number(text, 2);
    if (!h || *h > 18) return std::nullopt;
    int minutes = 0;
    if (!text.empty()) {
        take(text, ':');
        const auto m = take_number(text, 2);
        if (!m || *m > 59) return std::nullopt;
        minutes = *m;
    }
    const int64_t offset = (*h * 60 + minutes) * int64_t{60} * kMicrosecondsASecond;
    return west ? -offset : offset;
}

}  // namespace

std::optional<ParsedTime> parse_time(std::string_view text) {
    const auto date = take_date(text);
    if (!date) return std::nullopt;
    if (text.empty()) return ParsedTime{*date, 0};
    if (!take(text, 'T') && !take(text, 't') && !take(text, ' ')) return std::nullopt;
    const auto clock = take_clock(text);
    if (!clock) return std::nullopt;
    const auto zone = take_zone(text);
    if (!zone || !text.empty()) return std::nullopt;
    return ParsedTime{*date + *clock, *zone};
}

}  // namespace fetcher
