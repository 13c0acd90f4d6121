// The shape of a consumer's body, and the rules for its fields that a JSON Schema cannot say in words a person understands.
// Thread: any
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "admin/problem.h"

namespace fetcher {

enum class BodyKind { create, update };

// Empty: the fields are good. Processor options are not looked at: they are their type's.
std::vector<FieldError> check_consumer_fields(const nlohmann::json& body, BodyKind kind);

}  // namespace fetcher
