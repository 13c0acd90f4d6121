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
    const std::string_view unit = text.substr(digits);
    if (unit == "ms") return std::chrono::milliseconds(number);
    if (unit == "s") return std::chrono::seconds(number);
    if (unit == "m") return std::chrono::minutes(number);
    if (unit == "h") return std::chrono::hours(number);
    return std::nullopt;
}

}  // namespace fetcher
