#include "processors/duration.h"

#include <charconv>
#include <cstdint>

namespace fetcher {

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    constexpr size_t kMaxDigits = 9;  // no sum of units can overflow
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const auto digits = static_cast<size_t>(end - text.data());
    if (error != std::errc{} || digits > kMaxDigits) return std::nullopt;
    std::chrono::milliseconds duration{};
    const std::string_view unit = text.substr(digits);
    if (unit == "ms") {
        duration = std::chrono::milliseconds(number);
    } else if (unit == "s") {
        duration = std::chrono::seconds(number);
    } else if (unit == "m") {
        duration = std::chrono::minutes(number);
    } else if (unit == "h") {
        duration = std::chrono::hours(number);
    } else {
        return std::nullopt;
    }
    if (duration > kLongestDuration) return std::nullopt;
    return duration;
}

}  // namespace fetcher
