#include "processors/http_headers.h"

#include <algorithm>
#include <array>

namespace fetcher {
namespace {

constexpr size_t kMostValueBytes = 8192;
constexpr std::array kOurs = {"host",    "content-length", "transfer-encoding",   "connection", "keep-alive",       "proxy-connection",
                              "te",      "trailer",        "upgrade",             "expect",     "content-encoding", "idempotency-key",
                              "http2-settings"};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool is_token_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

}  // namespace

bool same_header(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::string> header_name_problem(std::string_view name) {
    if (name.empty() || name.size() > 256 || !std::ranges::all_of(name, is_token_byte)) {
        return "is not the name of a header: letters, digits and - are right";
    }
    if (std::ranges::any_of(kOurs, [&](const char* ours) { return same_header(name, ours); })) {
        return "is set by the server itself and cannot be configured; leave it out";
    }
    return std::nullopt;
}

std::optional<std::string> header_value_problem(std::string_view value) {
    if (value.size() > kMostValueBytes) return "is longer than 8192 bytes";
    if (std::ranges::any_of(value, [](char c) { return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7f; })) {
        return "must not hold line ends, NUL or other control characters";
    }
    return std::nullopt;
}

}  // namespace fetcher
