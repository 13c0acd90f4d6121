// HttpGate: who may ask. Looks at every request before routing: Host and Origin (a page on the web must not reach a server on loopback
// through the browser), the bearer token, and the type of a body.
// Thread: any; immutable
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "admin/http_types.h"

namespace fetcher {

struct HttpGateOptions {
    std::string api_token;                   // empty: none is asked for
    std::string listen_host;                 // by which clients may address it, unless it stands for every address
    std::vector<std::string> allowed_hosts;  // further ones, whose pages may ask too
};

class HttpGate {
  public:
    explicit HttpGate(const HttpGateOptions& options);

    // Why the request is refused; nullopt: it may pass. is_open: its route asks for no token.
    std::optional<Problem> refuse(const HttpRequest& request, bool is_open) const;

  private:
    using Hash = std::array<unsigned char, 32>;
    static Hash hash_of(const std::string& text);
    bool is_known_host(const std::string& host) const;
    std::optional<Problem> refuse_host(const HttpRequest& request) const;
    std::optional<Problem> refuse_origin(const HttpRequest& request) const;
    std::optional<Problem> refuse_token(const HttpRequest& request) const;
    std::optional<Problem> refuse_body_type(const HttpRequest& request) const;

    std::optional<Hash> token_hash_;
    std::vector<std::string> hosts_;          // by which it may be addressed
    std::vector<std::string> allowed_hosts_;  // whose pages may ask
    bool check_host_;
};

}  // namespace fetcher
