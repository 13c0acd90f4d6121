#include "admin/http_gate.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>

#include "admin/setting_values.h"

namespace fetcher {

namespace {

// "localhost:8000" → "localhost", "[::1]:8000" → "::1".
std::string without_port(const std::string& authority) {
    if (authority.starts_with('[')) return authority.substr(1, authority.find(']') - 1);
    return authority.substr(0, authority.find(':'));
}

std::string authority_of(const std::string& origin) {
    const auto scheme = origin.find("://");
    return scheme == std::string::npos ? "" : origin.substr(scheme + 3);
}

bool stands_for_all(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

}  // namespace

HttpGate::HttpGate(const HttpGateOptions& options)
    : hosts_(options.allowed_hosts),
      allowed_hosts_(options.allowed_hosts),
      check_host_(options.api_token.empty() || !options.allowed_hosts.empty()) {
    if (!options.api_token.empty()) token_hash_ = hash_of(options.api_token);
    if (!stands_for_all(options.listen_host)) hosts_.push_back(options.listen_host);
}

HttpGate::Hash HttpGate::hash_of(const std::string& text) {
    Hash hash{};
    unsigned int size = hash.size();
    EVP_Digest(text.data(), text.size(), hash.data(), &size, EVP_sha256(), nullptr);
    return hash;
}

std::optional<Problem> HttpGate::refuse(const HttpRequest& request, bool is_open) const {
    if (auto refused = refuse_host(request)) return refused;
    if (auto refused = refuse_origin(request)) return refused;
    if (!is_open)
        if (auto refused = refuse_token(request)) return refused;
    return refuse_body_type(request);
}

bool HttpGate::is_known_host(const std::string& authority) const {
    const auto host = without_port(authority);
    return is_loopback(host) ||
           std::any_of(hosts_.begin(), hosts_.end(), [&](const auto& known) { return equals_ignoring_case(known, host); });
}

std::optional<Problem> HttpGate::refuse_host(const HttpRequest& request) const {
    if (!check_host_) return std::nullopt;
    const auto host = request.header("Host");
    if (!host || host->empty()) return Problem{400, "The Host header is missing.", {}, {}};
    if (is_known_host(*host)) return std::nullopt;
    return Problem{403, "This server does not answer to the host name of the request; if it is right, list it in ALLOWED_HOSTS.", {}, {}};
}

// Its own pages, to the port, and those of hosts that the operator has named. The address it listens on is no host of pages: whatever else
// runs on this machine has it too.
std::optional<Problem> HttpGate::refuse_origin(const HttpRequest& request) const {
    if (request.header_count("Origin") == 0) return std::nullopt;
    const Problem foreign{403, "Requests from pages of another origin are refused; list its host in ALLOWED_HOSTS to let it in.", {}, {}};
    const auto origin = request.header("Origin");
    const auto authority = origin ? authority_of(*origin) : "";
    const auto host = request.header("Host");
    if (authority.empty()) return foreign;
    if (host && equals_ignoring_case(*host, authority)) return std::nullopt;
    const auto is_origins = [page = without_port(authority)](const auto& known) { return equals_ignoring_case(known, page); };
    if (std::any_of(allowed_hosts_.begin(), allowed_hosts_.end(), is_origins)) return std::nullopt;
    return foreign;
}

std::optional<Problem> HttpGate::refuse_token(const HttpRequest& request) const {
    if (!token_hash_) return std::nullopt;
    constexpr std::string_view kScheme = "Bearer ";
    const auto given = request.header("Authorization").value_or("");
    const bool bearer = given.size() > kScheme.size() && equals_ignoring_case(std::string_view(given).substr(0, kScheme.size()), kScheme);
    // Compared as hashes: always the same time, whatever the length and the first wrong byte.
    const auto hash = hash_of(bearer ? given.substr(kScheme.size()) : "");
    if (bearer && CRYPTO_memcmp(hash.data(), token_hash_->data(), hash.size()) == 0) return std::nullopt;
    return Problem{401,
                   bearer ? "The token is wrong." : "A bearer token is needed: Authorization: Bearer <API_TOKEN>.",
                   {},
                   {{"WWW-Authenticate", "Bearer realm=\"kafka-fetcher\""}}};
}

// Forms and plain text are what a foreign page could send without the browser asking first.
std::optional<Problem> HttpGate::refuse_body_type(const HttpRequest& request) const {
    const auto count = request.header_count("Content-Type");
    const bool change = request.method != "GET" && request.method != "HEAD" && request.method != "OPTIONS";
    if (!change || (count == 0 && request.body.empty())) return std::nullopt;
    auto type = request.header("Content-Type").value_or("");
    type = type.substr(0, type.find(';'));
    while (type.ends_with(' ')) type.pop_back();
    if (equals_ignoring_case(type, "application/json")) return std::nullopt;
    return Problem{415, "A change needs Content-Type: application/json.", {}, {}};
}

}  // namespace fetcher
