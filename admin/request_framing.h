// RequestFraming: where a request ends, judged strictly on its raw bytes before anything else looks at them, so that no two readers can
// disagree about it (request smuggling). Limits of the head are checked here too.
// Thread: any; pure
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "admin/problem.h"

namespace fetcher {

constexpr size_t kMaxBodyBytes = size_t{1} << 20;
constexpr size_t kMaxHeadBytes = size_t{32} << 10;
constexpr size_t kMaxLineBytes = size_t{8} << 10;
constexpr size_t kMaxHeaders = 64;

struct RequestFrame {
    std::string path;       // as sent, without the query
    size_t head_bytes = 0;  // with the empty line
    size_t body_bytes = 0;
    bool expects_continue = false;
    bool has_length = false;
    bool needs_length = false;  // POST, PUT, PATCH: bytes after a head without a length would be a body of unknown size

    size_t total_bytes() const { return head_bytes + body_bytes; }
};

// nullopt: the head is not complete yet. A problem: refuse it and close the connection.
Answer<std::optional<RequestFrame>> parse_frame(std::string_view received);

}  // namespace fetcher
