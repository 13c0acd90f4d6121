// AddressRules: where requests may go. Asked about the very address that is then connected to, so a name that resolves anew to another
// address gains nothing.
//
// Link-local addresses and those under which clouds hand out credentials are refused whatever the rules say, also in their IPv6 disguises.
// FORWARD_ALLOW narrows the rest: host names, patterns (*.example.com) and networks (10.0.0.0/8); empty: anywhere.
// Thread: any; immutable
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace fetcher {

// IPv4 as ::ffff:a.b.c.d.
struct IpAddress {
    std::array<uint8_t, 16> bytes{};

    static std::optional<IpAddress> parse(const std::string& text);  // without brackets or zone
    bool is_v4() const;
    std::string text() const;
    bool operator==(const IpAddress&) const = default;
};

class AddressRules {
  public:
    AddressRules() = default;  // anywhere
    // The comma-separated items of FORWARD_ALLOW. An error names the item and what would be right.
    static tl::expected<AddressRules, std::string> parse(const std::vector<std::string>& allow);

    // Why nothing may be sent to this address, under which `host` (lower case) was found; nullopt: it may.
    std::optional<std::string> objection(const std::string& host, const IpAddress& address) const;
    // The same where only the name is known: an objection that holds whatever it resolves to.
    std::optional<std::string> objection(const std::string& host) const;

  private:
    struct Network {
        IpAddress base;
        int prefix_bits = 128;
        bool contains(const IpAddress& address) const;
    };
    bool permits_name(const std::string& host) const;
    static bool is_never_allowed(const IpAddress& address);

    std::vector<std::string> patterns_;
    std::vector<Network> networks_;
};

}  // namespace fetcher
