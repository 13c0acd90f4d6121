#include "processors/pg_time.h"

#include <chrono>

namespace fetcher {
namespace {

constexpr int64_t kMicrosecondsASecond = 1'000'000;

// Takes exactly that many digits.
template <size_t Width>
std::optional<int> take_number(std::string_view& text) {
    if (text.size() < Width) return std::nullopt;
    unsigned number = 0;
    bool digits = true;
    for (size_t i = 0; i < Width; i++) {
        const auto digit = static_cast<unsigned>(text[i]) - '0';
        digits &= digit <= 9;
        number = number * 10 + digit;
    }
    if (!digits) return std::nullopt;
    text.remove_prefix(Width);
    return static_cast<int>(number);
}

bool take(std::string_view& text, char c) {
    if (!text.starts_with(c)) return false;
    text.remove_prefix(1);
    return true;
}

std::optional<int64_t> take_date(std::string_view& text) {
    using namespace std::chrono;
    const auto y = take_number<4>(text);
    if (!y || !take(text, '-')) return std::nullopt;
    const auto m = take_number<2>(text);
    if (!m || !take(text, '-')) return std::nullopt;
    const auto d = take_number<2>(text);
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
    const auto h = take_number<2>(text);
    if (!h || !take(text, ':')) return std::nullopt;
    const auto m = take_number<2>(text);
    if (!m) return std::nullopt;
    int s = 0;
    int64_t fraction = 0;
    if (take(text, ':')) {
        const auto seconds = take_number<2>(text);
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
    const auto h = take_number<2>(text);
    if (!h || *h > 18) return std::nullopt;
    int minutes = 0;
    if (!text.empty()) {
        take(text, ':');
        const auto m = take_number<2>(text);
        if (!m || *m > 59) return std::nullopt;
        minutes = *m;
    }
    const int64_t offset = (*h * 60 + minutes) * int64_t{60} * kMicrosecondsASecond;
    return west ? -offset : offset;
}

}  // namespace

std::optional<int64_t> parse_time(std::string_view text, TimeZone zone) {
    const auto date = take_date(text);
    if (!date || text.empty()) return date;
    if (!take(text, 'T') && !take(text, 't') && !take(text, ' ')) return std::nullopt;
    const auto clock = take_clock(text);
    if (!clock) return std::nullopt;
    const auto offset = take_zone(text);
    if (!offset || !text.empty()) return std::nullopt;
    return *date + *clock - (zone == TimeZone::utc ? *offset : 0);
}

}  // namespace fetcher
