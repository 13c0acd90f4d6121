// AddressRules: where requests may go. Asked about the very address that is then connected to, so a name that resolves anew to another
// address gains nothing.
//
// Link-local addresses and those under which clouds hand out credentials are refused whatever the rules say, also in their IPv6 disguises.
// FORWARD_ALLOW narrows the rest: host names, patterns (*.example.com) and networks (10.0.0.0/8); empty: anywhere.
// Thread: any; immutable
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "engine/ip_address.h"

namespace fetcher {

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
    bool permits_name(const std::string& host) const;

    std::vector<std::string> patterns_;
    std::vector<IpNetwork> networks_;
};

}  // namespace fetcher
