#include "admin/setting_values.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <limits>
#include <sstream>

#include "processors/address_rules.h"

namespace fetcher {

namespace {

tl::unexpected<std::string> wrong(std::string words) { return tl::unexpected<std::string>(std::move(words)); }

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return text;
}

std::string trimmed(const std::string& text) {
    const auto first = text.find_first_not_of(" \t\r");
    if (first == std::string::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);)
        if (part = trimmed(part); !part.empty()) parts.push_back(part);
    return parts;
}

bool only(const std::string& text, const char* also) {
    return std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string(also).find(c) != std::string::npos;
    });
}

bool is_host(const std::string& text) { return !text.empty() && text.size() <= 253 && only(text, ".-:_"); }

bool is_address(const std::string& text) {
    std::array<unsigned char, 16> address{};
    return inet_pton(AF_INET, text.c_str(), address.data()) == 1 || inet_pton(AF_INET6, text.c_str(), address.data()) == 1;
}

// What a client may write before the port: labels of letters, digits, dashes and underscores.
bool is_name(const std::string& text) {
    if (text.empty() || text.size() > 253 || !only(text, ".-_") || text.back() == '.') return false;
    const auto labels = split(text, '.');
    const auto dots = static_cast<size_t>(std::count(text.begin(), text.end(), '.'));
    return labels.size() == dots + 1 && std::all_of(labels.begin(), labels.end(), [](const auto& label) {
               return label.size() <= 63 && label.front() != '-' && label.back() != '-';
           });
}

}  // namespace

Parsed<uint16_t> parse_port(const std::string& text) {
    uint16_t port = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (code != std::errc() || end != text.data() + text.size() || port == 0) return wrong("must be a number from 1 to 65535");
    return port;
}

Parsed<bool> parse_bool(const std::string& text) {
    const auto word = lower(text);
    if (word == "true" || word == "1" || word == "yes" || word == "on") return true;
    if (word == "false" || word == "0" || word == "no" || word == "off") return false;
    return wrong("must be true or false");
}

Parsed<uint64_t> parse_bytes(const std::string& text) {
    constexpr const char* kWords = "must be a number of bytes, or a number with KiB, MiB or GiB, at least 1MiB";
    uint64_t number = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (code != std::errc()) return wrong(kWords);
    const auto unit = trimmed(std::string(end, text.data() + text.size()));
    constexpr std::array<std::pair<const char*, int>, 5> kUnits{{{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}}};
    const auto* const found = std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& candidate) { return unit == candidate.first; });
    if (found == kUnits.end() || number > (std::numeric_limits<uint64_t>::max() >> 1 >> found->second)) return wrong(kWords);
    number <<= found->second;
    if (number < (uint64_t{1} << 20)) return wrong(kWords);
    return number;
}

Parsed<std::string> parse_log_level(const std::string& text) {
    constexpr std::array<std::pair<const char*, const char*>, 8> kLevels{{{"trace", "trace"},
                                                                          {"debug", "debug"},
                                                                          {"info", "info"},
                                                                          {"warning", "warning"},
                                                                          {"warn", "warning"},
                                                                          {"error", "error"},
                                                                          {"critical", "critical"},
                                                                          {"off", "off"}}};
    const auto word = lower(text);
    for (const auto& [name, level] : kLevels)
        if (word == name) return std::string(level);
    return wrong("must be one of TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL, OFF");
}

Parsed<std::string> parse_servers(const std::string& text) {
    const auto servers = split(text, ',');
    if (servers.empty()) return wrong("must be host:port, several separated by commas");
    for (const auto& server : servers) {
        const auto colon = server.rfind(':');
        auto host = server.substr(0, colon == std::string::npos ? 0 : colon);
        if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
        if (colon == std::string::npos || !is_host(host) || !parse_port(server.substr(colon + 1)))
            return wrong("must be host:port, several separated by commas; \"" + server + "\" is not");
    }
    std::string joined;
    for (const auto& server : servers) joined += (joined.empty() ? "" : ",") + server;
    return joined;
}

Parsed<std::string> parse_host(const std::string& text) {
    auto host = text;
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (!is_host(host)) return wrong("must be an address or a host name");
    return host;
}

Parsed<std::string> parse_token(const std::string& text) {
    if (text.size() < 8) return wrong("must have at least 8 characters");
    if (!std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; }))
        return wrong("must consist of visible ASCII characters without spaces");
    return text;
}

Parsed<std::string> parse_instance_id(const std::string& text) {
    if (text.empty() || text.size() > 128 || !only(text, "._-"))
        return wrong("must be 1 to 128 letters, digits, dots, dashes or underscores");
    return text;
}

std::string absolute_folder(const std::string& path) {
    auto absolute = std::filesystem::absolute(path).lexically_normal().string();
    if (absolute.size() > 1 && absolute.ends_with('/')) absolute.pop_back();
    return absolute;
}

Parsed<std::string> parse_folder(const std::string& text) {
    if (text.empty()) return wrong("must name a folder");
    return absolute_folder(text);
}

Parsed<std::vector<std::string>> parse_roots(const std::string& text) {
    std::vector<std::string> roots;
    for (const auto& part : split(text, ':')) roots.push_back(absolute_folder(part));
    if (roots.empty()) return wrong("must name at least one folder, several separated by colons");
    return roots;
}

Parsed<std::vector<std::string>> parse_hosts(const std::string& text) {
    auto hosts = split(text, ',');
    for (auto& host : hosts) {
        if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
        if (!is_name(host) && !is_address(host))
            return wrong("must be host names or addresses, several separated by commas, without scheme, port, path or wildcard; \"" + host +
                         "\" is not one");
    }
    if (hosts.empty()) return wrong("must name at least one host, several separated by commas");
    return hosts;
}

Parsed<std::vector<std::string>> parse_list(const std::string& text) { return split(text, ','); }

Parsed<std::vector<std::string>> parse_forward_allow(const std::string& text) {
    auto items = split(text, ',');
    if (items.empty()) return wrong("must name a host, a pattern or a network; leave it unset to allow all");
    if (const auto rules = AddressRules::parse(items); !rules) return wrong(rules.error());
    return items;
}

bool is_loopback(const std::string& host) {
    in_addr v4{};
    in6_addr v6{};
    if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
    return lower(host) == "localhost";
}

Parsed<std::map<std::string, std::string>> parse_dotenv(const std::string& text) {
    std::map<std::string, std::string> values;
    std::istringstream stream(text);
    int number = 0;
    for (std::string raw; std::getline(stream, raw);) {
        ++number;
        auto line = trimmed(raw);
        if (line.empty() || line.starts_with('#')) continue;
        if (line.starts_with("export ")) line = trimmed(line.substr(7));
        const auto equals = line.find('=');
        if (equals == std::string::npos || equals == 0)
            return wrong(".env line " + std::to_string(number) + " is not of the form NAME=value");
        const auto name = trimmed(line.substr(0, equals));
        auto value = trimmed(line.substr(equals + 1));
        const char quote = value.empty() ? '\0' : value.front();
        if (quote == '"' || quote == '\'') {
            const auto end = value.find(quote, 1);
            if (end == std::string::npos) return wrong(".env line " + std::to_string(number) + " (" + name + ") has no closing quote");
            value = value.substr(1, end - 1);
        } else if (const auto comment = value.find(" #"); comment != std::string::npos) {
            value = trimmed(value.substr(0, comment));
        }
        values[name] = value;
    }
    return values;
}

}  // namespace fetcher
