#include "engine/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>

namespace fetcher {
namespace {

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

IpAddress of_v4(const uint8_t* four) {
    IpAddress address;
    std::copy(kMapped.begin(), kMapped.end(), address.bytes.begin());
    std::copy(four, four + 4, address.bytes.begin() + 12);
    return address;
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

std::optional<IpAddress> IpAddress::of(const sockaddr& socket) {
    if (socket.sa_family == AF_INET) {
        uint8_t four[4];
        std::memcpy(four, &reinterpret_cast<const sockaddr_in&>(socket).sin_addr, sizeof four);
        return of_v4(four);
    }
    if (socket.sa_family != AF_INET6) return std::nullopt;
    IpAddress address;
    std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(socket).sin6_addr, address.bytes.size());
    return address;
}

IpAddress IpAddress::unwrapped() const {
    const auto& b = bytes;
    const auto begins_with = [&](std::initializer_list<uint8_t> prefix) { return std::equal(prefix.begin(), prefix.end(), b.begin()); };
    if (begins_with({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})) return of_v4(&b[12]);           // compatible, also :: and ::1
    if (begins_with({0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) return of_v4(&b[12]);  // NAT64
    if (begins_with({0x20, 0x02})) return of_v4(&b[2]);                                    // 6to4
    return *this;
}

bool IpNetwork::contains(const IpAddress& address) const {
    const auto whole = static_cast<size_t>(prefix_bits / 8);
    if (!std::equal(base.bytes.begin(), base.bytes.begin() + static_cast<long>(whole), address.bytes.begin())) return false;
    const int rest = prefix_bits % 8;
    return rest == 0 || (base.bytes[whole] >> (8 - rest)) == (address.bytes[whole] >> (8 - rest));
}

bool is_never_allowed(const IpAddress& asked) {
    static const auto network = [](const char* base, int bits) { return IpNetwork{*IpAddress::parse(base), bits}; };
    static const std::array kNever = {
        network("169.254.0.0", 96 + 16),      // link-local, and the metadata of most clouds
        network("100.100.100.200", 128),      // Alibaba's
        network("192.0.0.192", 128),          // Oracle's
        network("168.63.129.16", 128),        // Azure's
        network("fe80::", 10),                // link-local
        network("fd00:ec2::254", 128),        // Amazon's
        network("fd20:ce::254", 128),         // Google's
    };
    const IpAddress address = asked.unwrapped();
    return std::ranges::any_of(kNever, [&](const IpNetwork& never) { return never.contains(address) || never.contains(asked); });
}

}  // namespace fetcher
