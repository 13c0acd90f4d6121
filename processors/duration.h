// Durations as people write them in a configuration: "500ms", "10s", "5m", "1h".
// Thread: any
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace fetcher {

// As a regular expression, for JSON Schemas.
inline constexpr const char* kDurationPattern = "^[0-9]{1,9}(ms|s|m|h)$";

// Ten years: far from what a clock's arithmetic can overflow on.
inline constexpr std::chrono::milliseconds kLongestDuration = std::chrono::hours(24 * 365 * 10);

// nullopt: not a whole number followed by ms, s, m or h, or longer than kLongestDuration.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace fetcher
