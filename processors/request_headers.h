// RequestHeaders: what the headers of a forwarder's requests have in common: people's own, the content's, and the Authorization.
//
// Secrets are resolved at use and looked up anew every minute; a token (OAuth2 client credentials) is fetched when it is first needed, before
// it expires, and after a 401.
// Thread: any; whoever asks while a token is fetched waits for what comes of it
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

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
    // Whether none can be had: the last question for a token failed, or the present one has no answer for longer than `patience`.
    bool unobtainable(std::chrono::milliseconds patience) const;
    // For good: current() returns at once, with an error, also one that waits for a token.
    void abort();
    // After a 401 to a request with these headers: whether others can be had, which current() then returns.
    bool renew(const std::shared_ptr<const HttpHeaders>& refused);
    // Without the values of secrets, wherever they stand in it; of late ones too, of which an answer may still tell.
    std::string redacted(std::string text) const;

  private:
    using TimePoint = std::chrono::steady_clock::time_point;
    using Lock = std::unique_lock<std::mutex>;
    // Open the lock while a token is fetched; one thread at a time.
    Result<HttpHeaders> build(Lock& lock, HiddenValues& hidden);
    Result<std::string> authorization(Lock& lock, HiddenValues& hidden);
    Result<std::string> fetch_token(Lock& lock, HiddenValues& hidden);
    Result<std::string> secret(const std::string& text, HiddenValues& hidden) const;
    void keep_hidden(HiddenValues hidden);

    const std::map<std::string, std::string> own_;
    const ForwarderAuth auth_;
    const BodyFormat format_;
    const SecretSource secrets_;
    const std::string token_server_;  // for people
    const std::unique_ptr<HttpConnection> token_connection_;

    mutable std::mutex mutex_;
    std::shared_ptr<const HttpHeaders> current_;
    TimePoint valid_until_{};
    std::string token_;
    TimePoint token_valid_until_{};
    std::deque<HiddenValues> hidden_;  // the newest first
    std::condition_variable built_;
    bool building_ = false;
    TimePoint building_since_{};
    uint64_t builds_ = 0;
    std::optional<Error> failure_;  // of the last one
    bool ended_ = false;
};

}  // namespace fetcher
