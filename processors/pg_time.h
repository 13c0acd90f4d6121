// Points in time as JSON holds them: ISO 8601 / RFC 3339, down to microseconds.
// Thread: any
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace fetcher {

struct ParsedTime {
    int64_t local_microseconds = 0;   // since 2000-01-01T00:00:00, as written
    int64_t offset_microseconds = 0;  // of its zone from UTC; 0 where none is written
};

// "2025-01-31", "2025-01-31T12:00:00", with a fraction, with Z or +hh:mm, +hhmm, +hh; a space may stand for the T.
std::optional<ParsedTime> parse_time(std::string_view text);

}  // namespace fetcher
