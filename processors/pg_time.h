// Points in time as JSON holds them: ISO 8601 / RFC 3339, down to microseconds.
// Thread: any
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace fetcher {

// Microseconds since 2000-01-01T00:00:00 of "2025-01-31", "2025-01-31T12:00:00", with a fraction, with Z or +hh:mm, +hhmm, +hh; a space may
// stand for the T. As written, or in UTC, which a time without zone is taken for.
enum class TimeZone { as_written, utc };
std::optional<int64_t> parse_time(std::string_view text, TimeZone zone);

}  // namespace fetcher
