// Turns a request's body into JSON, within limits: one value, UTF-8, depth, no key twice (which of them would count?).
// Thread: any
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "admin/problem.h"

namespace fetcher {

constexpr size_t kMaxJsonDepth = 32;

// Problems are 400: the body is not something whose fields could be judged.
Answer<nlohmann::json> parse_json_body(std::string_view body);

}  // namespace fetcher
