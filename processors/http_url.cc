#include "processors/http_url.h"

#include <algorithm>
#include <charconv>

namespace fetcher {
namespace {

tl::unexpected<std::string> wrong(const char* why) { return tl::unexpected<std::string>(why); }

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return result;
}

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_host_name(std::string_view host) {
    return !host.empty() && host.size() <= 253 && std::ranges::all_of(host, [](char c) { return is_alphanumeric(c) || c == '.' || c == '-' || c == '_'; });
}

bool is_ipv6_text(std::string_view host) {
    return host.size() >= 2 && host.size() <= 45 &&
           std::ranges::all_of(host, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == ':' || c == '.'; });
}

// Takes "host[:port]" or "[address][:port]" apart.
bool read_authority(std::string_view authority, HttpUrl& url) {
    std::string_view port;
    if (authority.starts_with('[')) {
        const size_t end = authority.find(']');
        if (end == std::string_view::npos) return false;
        url.host = lower(authority.substr(1, end - 1));
        port = authority.substr(end + 1);
        if (!is_ipv6_text(url.host) || (!port.empty() && port.front() != ':')) return false;
    } else {
        const size_t colon = std::min(authority.find(':'), authority.size());
        url.host = lower(authority.substr(0, colon));
        port = authority.substr(colon);
        if (!is_host_name(url.host)) return false;
    }
    if (port.empty()) return true;
    port.remove_prefix(1);
    unsigned number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc{} || end != port.data() + port.size() || number == 0 || number > 65535) return false;
    url.port = static_cast<uint16_t>(number);
    return true;
}

}  // namespace

std::string HttpUrl::shown() const {
    const bool usual = port == (tls ? 443 : 80);
    const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
    return (tls ? "https://" : "http://") + name + (usual ? "" : ":" + std::to_string(port)) + target.substr(0, target.find('?'));
}

tl::expected<HttpUrl, std::string> parse_http_url(std::string_view text) {
    HttpUrl url;
    const std::string scheme = lower(text.substr(0, std::min(text.find("://"), text.size())));
    if (scheme != "http" && scheme != "https") return wrong("must begin with http:// or https://");
    url.tls = scheme == "https";
    url.port = url.tls ? 443 : 80;
    text.remove_prefix(scheme.size() + 3);
    if (!std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; })) {
        return wrong("must be of ASCII characters without spaces; write others as %XX");
    }
    if (text.find('#') != std::string_view::npos) return wrong("must not have a fragment (#…): it would not be sent");
    const auto authority = text.substr(0, text.find_first_of("/?"));
    if (authority.find('@') != std::string_view::npos) return wrong("must not hold a user name or password; give them in auth");
    if (!read_authority(authority, url)) return wrong("must name a host, and if it has a port, one from 1 to 65535, as in https://api.example.com:8443/records");
    const auto target = text.substr(authority.size());
    url.target = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
    return url;
}

}  // namespace fetcher
