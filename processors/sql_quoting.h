// Names and texts as parts of SQL statements.
// Thread: any
#pragma once

#include <string>
#include <string_view>

namespace fetcher {

std::string quoted_identifier(std::string_view name);
std::string quoted_literal(std::string_view text);

}  // namespace fetcher
