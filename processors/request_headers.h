// RequestHeaders: what the headers of a forwarder's requests have in common: people's own, the content's, and the Authorization.
//
// Secrets are resolved at use and looked up anew every minute; a token (OAuth2 client credentials) is fetched when it is first needed, before
// it expires, and after a 401.
// Thread: any; whoever asks while a token is fetched waits for it
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/result.h"
#include "processors/forwarder_options.h"
#include "processors/http_connection.h"
#include "processors/secrets.h"

namespace fetcher {

class RequestHeaders {
  public:
    // token_server: only for oauth2.
    RequestHeaders(const ForwarderOptions& options, std::string secrets_dir, HttpServerAddress token_server, HttpConnector connector);

    Result<std::shared_ptr<const HttpHeaders>> current();
    // After a 401 to a request with these headers: whether others can be had, which current() then returns.
    bool renew(const std::shared_ptr<const HttpHeaders>& refused);
    // Without the values of secrets, wherever they stand in it.
    std::string redacted(std::string text) const;

  private:
    using TimePoint = std::chrono::steady_clock::time_point;
    Result<HttpHeaders> build();
    Result<std::string> authorization();
    Result<std::string> fetch_token();
    Result<std::string> secret(const std::string& text);

    const std::map<std::string, std::string> own_;
    const ForwarderAuth auth_;
    const BodyFormat format_;
    const SecretSource secrets_;
    const HttpServerAddress token_server_;
    const HttpConnector connector_;

    mutable std::mutex mutex_;
    std::shared_ptr<const HttpHeaders> current_;
    TimePoint valid_until_{};
    std::string token_;
    TimePoint token_valid_until_{};
    std::vector<std::string> secret_values_;
};

}  // namespace fetcher
