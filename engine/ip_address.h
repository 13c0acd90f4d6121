// IpAddress: an address as what it is, whatever it is written as, and those to which this process never connects.
// Thread: any; immutable
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

struct sockaddr;

namespace fetcher {

// IPv4 as ::ffff:a.b.c.d.
struct IpAddress {
    std::array<uint8_t, 16> bytes{};

    static std::optional<IpAddress> parse(const std::string& text);  // without brackets or zone
    static std::optional<IpAddress> of(const sockaddr& socket);      // nullopt: neither IPv4 nor IPv6
    bool is_v4() const;
    std::string text() const;
    // The IPv4 address inside of one of the forms by which IPv6 reaches IPv4; the address itself otherwise.
    IpAddress unwrapped() const;
    bool operator==(const IpAddress&) const = default;
};

struct IpNetwork {
    IpAddress base;
    int prefix_bits = 128;
    bool contains(const IpAddress& address) const;
};

// Link-local addresses and those under which clouds hand out credentials, also in their IPv6 disguises. Whoever connects somewhere that a request or
// an answer from outside names asks about the very address, so a name that resolves anew gains nothing.
bool is_never_allowed(const IpAddress& address);

}  // namespace fetcher
