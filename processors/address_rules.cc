#include "processors/address_rules.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace fetcher {
namespace {

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

IpAddress of_v4(const uint8_t* four) {
    IpAddress address;
    std::copy(kMapped.begin(), kMapped.end(), address.bytes.begin());
    std::copy(four, four + 4, address.bytes.begin() + 12);
    return address;
}

// The IPv4 address inside of one of the forms by which IPv6 reaches IPv4; the address itself otherwise.
IpAddress unwrapped(const IpAddress& address) {
    const auto& b = address.bytes;
    const auto begins_with = [&](std::initializer_list<uint8_t> prefix) { return std::equal(prefix.begin(), prefix.end(), b.begin()); };
    if (begins_with({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})) return of_v4(&b[12]);           // compatible, also :: and ::1
    if (begins_with({0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) return of_v4(&b[12]);  // NAT64
    if (begins_with({0x20, 0x02})) return of_v4(&b[2]);                                    // 6to4
    return address;
}

bool is_pattern(const std::string& text) {
    const auto name = text.starts_with("*.") ? text.substr(2) : text;
    return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    });
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(const std::string& text) {
    uint8_t four[4];
    if (inet_pton(AF_INET, text.c_str(), four) == 1) return of_v4(four);
    IpAddress address;
    if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) return address;
    return std::nullopt;
}

bool IpAddress::is_v4() const { return std::equal(kMapped.begin(), kMapped.end(), bytes.begin()); }

std::string IpAddress::text() const {
    char text[INET6_ADDRSTRLEN] = "";
    if (is_v4()) inet_ntop(AF_INET, &bytes[12], text, sizeof text);
    else inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
    return text;
}

bool AddressRules::Network::contains(const IpAddress& address) const {
    const auto whole = static_cast<size_t>(prefix_bits / 8);
    if (!std::equal(base.bytes.begin(), base.bytes.begin() + static_cast<long>(whole), address.bytes.begin())) return false;
    const int rest = prefix_bits % 8;
    return rest == 0 || (base.bytes[whole] >> (8 - rest)) == (address.bytes[whole] >> (8 - rest));
}

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

bool AddressRules::is_never_allowed(const IpAddress& asked) {
    static const auto network = [](const char* base, int bits) { return Network{*IpAddress::parse(base), bits}; };
    static const std::array kNever = {
        network("169.254.0.0", 96 + 16),      // link-local, and the metadata of most clouds
        network("100.100.100.200", 128),      // Alibaba's
        network("192.0.0.192", 128),          // Oracle's
        network("168.63.129.16", 128),        // Azure's
        network("fe80::", 10),                // link-local
        network("fd00:ec2::254", 128),        // Amazon's
        network("fd20:ce::254", 128),         // Google's
    };
    const IpAddress address = unwrapped(asked);
    return std::ranges::any_of(kNever, [&](const Network& never) { return never.contains(address) || never.contains(asked); });
}

bool AddressRules::permits_name(const std::string& host) const {
    return std::ranges::any_of(patterns_, [&](const std::string& pattern) {
        return pattern.starts_with("*.") ? host.size() > pattern.size() - 1 && host.ends_with(pattern.substr(1)) : host == pattern;
    });
}

std::optional<std::string> AddressRules::objection(const std::string& host, const IpAddress& address) const {
    if (is_never_allowed(address)) return address.text() + " is a link-local or metadata address, to which nothing is ever sent";
    const IpAddress bare = unwrapped(address);
    const auto within = [&](const Network& network) { return network.contains(address) || network.contains(bare); };
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
