// HttpUrl: where requests go. Judged once, when a consumer is configured.
// Thread: any
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace fetcher {

struct HttpUrl {
    bool tls = false;
    std::string host;  // lower case; an IPv6 address without brackets
    uint16_t port = 80;
    std::string target;  // path and query, at least "/"

    // For people and logs: without the query, which may hold what nobody else shall see.
    std::string shown() const;
};

// An error says what would be right.
tl::expected<HttpUrl, std::string> parse_http_url(std::string_view text);

}  // namespace fetcher
