#include "processors/request_headers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "processors/http_headers.h"
#include "processors/http_verdict.h"

namespace fetcher {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = ForwarderAuth::Kind;

constexpr std::chrono::minutes kSecretsLookedUp{1};
constexpr std::chrono::seconds kTokenLife{300};  // where its server does not tell
constexpr size_t kLeastRedactedBytes = 4;        // shorter ones would tear every text apart
constexpr size_t kHiddenKept = 4;                // the last ones

void hide(const std::string& value, HiddenValues& hidden) {
    if (value.size() >= kLeastRedactedBytes) hidden.add(value, "***");
}

std::string base64(std::string_view bytes) {
    constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    const auto byte = [&](size_t i) { return i < bytes.size() ? static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])) : 0; };
    for (size_t i = 0; i < bytes.size(); i += 3) {
        const uint32_t group = (byte(i) << 16) | (byte(i + 1) << 8) | byte(i + 2);
        text += kDigits[group >> 18];
        text += kDigits[(group >> 12) & 63];
        text += i + 1 < bytes.size() ? kDigits[(group >> 6) & 63] : '=';
        text += i + 2 < bytes.size() ? kDigits[group & 63] : '=';
    }
    return text;
}

std::string form_encoded(std::string_view text) {
    constexpr const char* kHex = "0123456789ABCDEF";
    std::string encoded;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~') encoded += c;
        else encoded.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
    return encoded;
}

}  // namespace

RequestHeaders::RequestHeaders(const ForwarderOptions& options, std::string secrets_dir, HttpServerAddress token_server, HttpConnector connector)
    : own_(options.headers), auth_(options.auth), format_(options.format), secrets_(std::move(secrets_dir)),
      token_server_("the token server " + token_server.url.shown()),
      token_connection_(auth_.kind == Kind::oauth2 ? connector(token_server) : nullptr) {}

Result<std::shared_ptr<const HttpHeaders>> RequestHeaders::current() {
    Lock lock(mutex_);
    while (building_ && !ended_) {
        const uint64_t before = builds_;
        built_.wait(lock, [&] { return builds_ != before || ended_; });
        // A token server that hangs costs all who wait its time once, not one after the other.
        if (!ended_ && failure_) return tl::unexpected<Error>(*failure_);
    }
    if (ended_) return transient("the forwarder ends");
    if (current_ && Clock::now() < valid_until_) return current_;
    building_ = true;
    building_since_ = Clock::now();
    HiddenValues hidden;
    auto built = build(lock, hidden);
    building_ = false;
    builds_++;
    failure_ = built ? std::nullopt : std::optional(built.error());
    built_.notify_all();
    if (!built) return tl::unexpected<Error>(std::move(built.error()));
    keep_hidden(std::move(hidden));
    current_ = std::make_shared<const HttpHeaders>(std::move(*built));
    valid_until_ = Clock::now() + kSecretsLookedUp;
    if (auth_.kind == Kind::oauth2) valid_until_ = std::min(valid_until_, token_valid_until_);
    return current_;
}

bool RequestHeaders::unobtainable(std::chrono::milliseconds patience) const {
    const std::lock_guard lock(mutex_);
    if (current_ && Clock::now() < valid_until_) return false;
    return failure_ || (building_ && Clock::now() - building_since_ > patience);
}

void RequestHeaders::abort() {
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
    }
    built_.notify_all();
    if (token_connection_) token_connection_->abort();
}

bool RequestHeaders::renew(const std::shared_ptr<const HttpHeaders>& refused) {
    if (auth_.kind != Kind::oauth2) return false;
    const std::lock_guard lock(mutex_);
    if (current_ != refused) return true;  // somebody was faster
    current_.reset();
    token_.clear();
    return true;
}

std::string RequestHeaders::redacted(std::string text) const {
    const std::lock_guard lock(mutex_);
    for (const auto& values : hidden_) text = values.hide(std::move(text));
    return text;
}

// A token is renewed before it expires, and a request may be under way with what was changed meanwhile: these are kept too.
void RequestHeaders::keep_hidden(HiddenValues hidden) {
    if (!hidden_.empty() && hidden_.front() == hidden) return;
    hidden_.push_front(std::move(hidden));
    if (hidden_.size() > kHiddenKept) hidden_.pop_back();
}

Result<std::string> RequestHeaders::secret(const std::string& text, HiddenValues& hidden) const {
    std::vector<std::string> looked_up;
    auto value = secrets_.resolve(text, &looked_up);
    if (!value) return value;
    if (const auto problem = header_value_problem(*value)) return fatal("a secret that is sent in a header " + *problem);
    // The whole, and what came from secrets: a server may repeat either.
    hide(*value, hidden);
    for (const auto& part : looked_up) hide(part, hidden);
    return value;
}

Result<HttpHeaders> RequestHeaders::build(Lock& lock, HiddenValues& hidden) {
    HttpHeaders headers;
    bool has_type = false, has_agent = false;
    for (const auto& [name, text] : own_) {
        auto value = secret(text, hidden);
        if (!value) return tl::unexpected<Error>(std::move(value.error()));
        has_type |= same_header(name, "Content-Type");
        has_agent |= same_header(name, "User-Agent");
        // "Bearer abc": a server speaks of abc.
        if (same_header(name, "Authorization") || same_header(name, "Proxy-Authorization")) hide(value->substr(value->find(' ') + 1), hidden);
        headers.emplace_back(name, std::move(*value));
    }
    if (!has_type) headers.emplace_back("Content-Type", format_.content_type());
    if (!has_agent) headers.emplace_back("User-Agent", "kafka-fetcher");
    if (const char* encoding = format_.content_encoding()) headers.emplace_back("Content-Encoding", encoding);
    if (auth_.kind == Kind::none) return headers;
    auto value = authorization(lock, hidden);
    if (!value) return tl::unexpected<Error>(std::move(value.error()));
    headers.emplace_back("Authorization", std::move(*value));
    return headers;
}

Result<std::string> RequestHeaders::authorization(Lock& lock, HiddenValues& hidden) {
    if (auth_.kind == Kind::bearer) {
        return secret(auth_.token, hidden).map([](const std::string& token) { return "Bearer " + token; });
    }
    if (auth_.kind == Kind::oauth2) {
        if (token_.empty() || Clock::now() >= token_valid_until_) {
            auto token = fetch_token(lock, hidden);
            if (!token) return token;
            token_ = std::move(*token);
        }
        hide(token_, hidden);
        return "Bearer " + token_;
    }
    const auto name = secret(auth_.username, hidden);
    if (!name) return name;
    const auto password = secret(auth_.password, hidden);
    if (!password) return password;
    const std::string both = base64(*name + ":" + *password);
    hide(both, hidden);
    return "Basic " + both;
}

Result<std::string> RequestHeaders::fetch_token(Lock& lock, HiddenValues& hidden) {
    const auto id = secret(auth_.client_id, hidden);
    if (!id) return id;
    const auto password = secret(auth_.client_secret, hidden);
    if (!password) return password;
    const std::string body = "grant_type=client_credentials" + (auth_.scope.empty() ? "" : "&scope=" + form_encoded(auth_.scope));
    const std::string& where = token_server_;
    lock.unlock();
    const auto answer = token_connection_->send({"POST",
                                                 {{"Content-Type", "application/x-www-form-urlencoded"},
                                                  {"Accept", "application/json"},
                                                  {"User-Agent", "kafka-fetcher"},
                                                  {"Authorization", "Basic " + base64(form_encoded(*id) + ":" + form_encoded(*password))}},
                                                 body});
    lock.lock();
    if (answer.kind == HttpAnswer::Kind::refused) return fatal(where + ": " + answer.trouble);
    if (answer.kind != HttpAnswer::Kind::answered) return transient(where + ": " + answer.trouble);
    const auto verdict = verdict_of(answer.status);
    const std::string answered = where + " answered " + std::to_string(answer.status);
    if (verdict == Verdict::retry) return transient(answered);
    if (verdict != Verdict::delivered) return fatal(answered + "; look at token_url, client_id and client_secret");
    const auto json = nlohmann::json::parse(answer.body, nullptr, false);
    if (!json.is_object() || !json.contains("access_token") || !json["access_token"].is_string()) return fatal(answered + ", but with no access_token");
    auto token = json["access_token"].get<std::string>();
    if (token.empty() || header_value_problem(token)) return fatal(answered + ", but with a token that no header can hold");
    const auto life = json.contains("expires_in") && json["expires_in"].is_number() ? json["expires_in"].get<double>() : static_cast<double>(kTokenLife.count());
    // Renewed when four fifths of its life are over, so that none expires on its way.
    token_valid_until_ = Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(std::clamp(life, 1.0, 86'400.0) * 800));
    return token;
}

}  // namespace fetcher
