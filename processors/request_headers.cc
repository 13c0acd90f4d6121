#include "processors/request_headers.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "processors/http_headers.h"
#include "processors/http_verdict.h"

namespace fetcher {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = ForwarderAuth::Kind;

constexpr std::chrono::minutes kSecretsLookedUp{1};
constexpr std::chrono::seconds kTokenLife{300};  // where its server does not tell
constexpr size_t kLeastRedactedBytes = 4;        // shorter ones would tear every text apart

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
      token_server_(std::move(token_server)), connector_(std::move(connector)) {}

Result<std::shared_ptr<const HttpHeaders>> RequestHeaders::current() {
    const std::lock_guard lock(mutex_);
    if (current_ && Clock::now() < valid_until_) return current_;
    secret_values_.clear();
    auto built = build();
    if (!built) return tl::unexpected<Error>(std::move(built.error()));
    current_ = std::make_shared<const HttpHeaders>(std::move(*built));
    valid_until_ = Clock::now() + kSecretsLookedUp;
    if (auth_.kind == Kind::oauth2) valid_until_ = std::min(valid_until_, token_valid_until_);
    return current_;
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
    for (const auto& value : secret_values_) {
        for (size_t at = text.find(value); at != std::string::npos; at = text.find(value, at + 3)) text.replace(at, value.size(), "***");
    }
    return text;
}

Result<std::string> RequestHeaders::secret(const std::string& text) {
    auto value = secrets_.resolve(text);
    if (!value) return value;
    if (const auto problem = header_value_problem(*value)) return fatal("a secret that is sent in a header " + *problem);
    if (value->size() >= kLeastRedactedBytes) secret_values_.push_back(*value);
    return value;
}

Result<HttpHeaders> RequestHeaders::build() {
    HttpHeaders headers;
    bool has_type = false, has_agent = false;
    for (const auto& [name, text] : own_) {
        auto value = secret(text);
        if (!value) return tl::unexpected<Error>(std::move(value.error()));
        has_type |= same_header(name, "Content-Type");
        has_agent |= same_header(name, "User-Agent");
        headers.emplace_back(name, std::move(*value));
    }
    if (!has_type) headers.emplace_back("Content-Type", format_.content_type());
    if (!has_agent) headers.emplace_back("User-Agent", "kafka-fetcher");
    if (const char* encoding = format_.content_encoding()) headers.emplace_back("Content-Encoding", encoding);
    if (auth_.kind == Kind::none) return headers;
    auto value = authorization();
    if (!value) return tl::unexpected<Error>(std::move(value.error()));
    headers.emplace_back("Authorization", std::move(*value));
    return headers;
}

Result<std::string> RequestHeaders::authorization() {
    if (auth_.kind == Kind::bearer) {
        return secret(auth_.token).map([](const std::string& token) { return "Bearer " + token; });
    }
    if (auth_.kind == Kind::oauth2) {
        if (token_.empty() || Clock::now() >= token_valid_until_) {
            auto token = fetch_token();
            if (!token) return token;
            token_ = std::move(*token);
        }
        secret_values_.push_back(token_);
        return "Bearer " + token_;
    }
    const auto name = secret(auth_.username);
    if (!name) return name;
    const auto password = secret(auth_.password);
    if (!password) return password;
    secret_values_.push_back(base64(*name + ":" + *password));
    return "Basic " + secret_values_.back();
}

Result<std::string> RequestHeaders::fetch_token() {
    const auto id = secret(auth_.client_id);
    if (!id) return id;
    const auto password = secret(auth_.client_secret);
    if (!password) return password;
    const std::string body = "grant_type=client_credentials" + (auth_.scope.empty() ? "" : "&scope=" + form_encoded(auth_.scope));
    const std::string where = "the token server " + token_server_.url.shown();
    const auto answer = connector_(token_server_)->send({"POST",
                                                         {{"Content-Type", "application/x-www-form-urlencoded"},
                                                          {"Accept", "application/json"},
                                                          {"User-Agent", "kafka-fetcher"},
                                                          {"Authorization", "Basic " + base64(form_encoded(*id) + ":" + form_encoded(*password))}},
                                                         body});
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
