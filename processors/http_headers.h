// Which headers of people's own may be sent.
// Thread: any
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fetcher {

// What is wrong with a header's name; nullopt: nothing. Those that frame the request, or that the server sets itself, are refused.
std::optional<std::string> header_name_problem(std::string_view name);

// Control characters would let a value end its header and begin another.
std::optional<std::string> header_value_problem(std::string_view value);

bool same_header(std::string_view a, std::string_view b);

}  // namespace fetcher
