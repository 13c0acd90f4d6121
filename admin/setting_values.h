// How the text of a setting becomes its value. An error says what would be right; the caller names the setting.
// Thread: any
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace fetcher {

template <class T>
using Parsed = tl::expected<T, std::string>;

Parsed<uint16_t> parse_port(const std::string& text);
Parsed<bool> parse_bool(const std::string& text);              // true, false, 1, 0, yes, no, on, off
Parsed<uint64_t> parse_bytes(const std::string& text);         // 268435456, 256MiB, 1GiB
Parsed<std::string> parse_log_level(const std::string& text);  // as spdlog names it
Parsed<std::string> parse_servers(const std::string& text);    // host:port[,host:port…]
Parsed<std::string> parse_host(const std::string& text);       // an address to listen on, or a host name
Parsed<std::string> parse_token(const std::string& text);
Parsed<std::string> parse_instance_id(const std::string& text);
std::string absolute_folder(const std::string& path);  // without "." and "..", without a slash at the end
Parsed<std::string> parse_folder(const std::string& text);              // one, made absolute
Parsed<std::vector<std::string>> parse_roots(const std::string& text);  // colon-separated, made absolute
Parsed<std::vector<std::string>> parse_hosts(const std::string& text);  // comma-separated names or addresses, no ports
Parsed<std::vector<std::string>> parse_list(const std::string& text);   // comma-separated

Parsed<std::vector<std::string>> parse_forward_allow(const std::string& text);  // comma-separated names, patterns, networks

bool is_loopback(const std::string& host);

// KEY=value lines; # comments, "export ", quotes. An error names the line.
Parsed<std::map<std::string, std::string>> parse_dotenv(const std::string& text);

}  // namespace fetcher
