// Query parameters, judged like the fields of a body: unknown ones, empty ones and those given twice are refused.
// Thread: any
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/http_types.h"

namespace fetcher {

struct QueryParameter {
    const char* name;
    bool required = false;
};

// The parameters by name; 422 with every one that is wrong.
Answer<std::map<std::string, std::string>> parse_query(const HttpRequest& request, const std::vector<QueryParameter>& known);

// A decimal number that is all of the text, from least to most.
std::optional<int64_t> parse_number(std::string_view text, int64_t least, int64_t most);

}  // namespace fetcher
