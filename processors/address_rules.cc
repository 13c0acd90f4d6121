#include "processors/address_rules.h"

#include <algorithm>
#include <charconv>

namespace fetcher {
namespace {

bool is_pattern(const std::string& text) {
    const auto name = text.starts_with("*.") ? text.substr(2) : text;
    return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    });
}

}  // namespace

tl::expected<AddressRules, std::string> AddressRules::parse(const std::vector<std::string>& allow) {
    AddressRules rules;
    for (auto item : allow) {
        std::ranges::transform(item, item.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        const size_t slash = std::min(item.find('/'), item.size());
        if (const auto base = IpAddress::parse(item.substr(0, slash))) {
            const int most = base->is_v4() && item.find(':') == std::string::npos ? 32 : 128;
            int bits = most;
            if (slash < item.size()) {
                const char* const end = item.data() + item.size();
                const auto [at, error] = std::from_chars(item.data() + slash + 1, end, bits);
                if (error != std::errc{} || at != end || bits < 0 || bits > most) bits = -1;
            }
            if (bits < 0) return tl::unexpected<std::string>("'" + item + "' must be a network as 10.0.0.0/8 or fd00::/8");
            rules.networks_.push_back({*base, bits + 128 - most});
        } else if (is_pattern(item)) {
            rules.patterns_.push_back(item);
        } else {
            return tl::unexpected<std::string>("'" + item + "' must be a host name, a pattern as *.example.com, or a network as 10.0.0.0/8, without scheme and port");
        }
    }
    return rules;
}

bool AddressRules::permits_name(const std::string& host) const {
    return std::ranges::any_of(patterns_, [&](const std::string& pattern) {
        return pattern.starts_with("*.") ? host.size() > pattern.size() - 1 && host.ends_with(pattern.substr(1)) : host == pattern;
    });
}

std::optional<std::string> AddressRules::objection(const std::string& host, const IpAddress& address) const {
    if (is_never_allowed(address)) return address.text() + " is a link-local or metadata address, to which nothing is ever sent";
    const IpAddress bare = address.unwrapped();
    const auto within = [&](const IpNetwork& network) { return network.contains(address) || network.contains(bare); };
    if ((patterns_.empty() && networks_.empty()) || permits_name(host) || std::ranges::any_of(networks_, within)) return std::nullopt;
    return host + (host == address.text() ? "" : " (" + address.text() + ")") +
           " is not among the hosts and networks of FORWARD_ALLOW; choose another, or extend FORWARD_ALLOW and restart the server";
}

std::optional<std::string> AddressRules::objection(const std::string& host) const {
    if (const auto literal = IpAddress::parse(host)) return objection(host, *literal);
    if (patterns_.empty() || permits_name(host) || !networks_.empty()) return std::nullopt;
    return host + " is not among the hosts of FORWARD_ALLOW; choose another, or extend FORWARD_ALLOW and restart the server";
}

}  // namespace fetcher
