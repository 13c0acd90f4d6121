// Judges a JSON value by a JSON Schema (draft 7) and says for each field what is wrong and what would be right.
// Thread: any
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "admin/problem.h"

namespace fetcher {

// Empty: valid. Pointers are relative to the value. Fields are reported one by one, not only the first.
std::vector<FieldError> validate_by_schema(const nlohmann::json& schema, const nlohmann::json& value);

// The schema of a value of one type, which null is allowed for too.
nlohmann::json or_null(nlohmann::json schema);

// A key as a part of a JSON pointer.
std::string pointer_token(const std::string& key);

}  // namespace fetcher
