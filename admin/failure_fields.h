// What a consumer does when things fail, as its fields `retry` and `restart` say: schemas, what they cannot say, and their meaning. Both are
// kept as they were given; what is not in them has its default.
// Thread: any
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "admin/managed_consumer.h"
#include "admin/problem.h"
#include "engine/backoff.h"

namespace fetcher {

nlohmann::json retry_schema();
nlohmann::json restart_schema();

// Of a consumer's body that has passed the schemas. Pointers within the body.
std::vector<FieldError> check_failure_fields(const nlohmann::json& body);

// Requires what both found valid; null is all defaults.
RetryPolicy retry_policy(const nlohmann::json& retry);
RestartPolicy restart_policy(const nlohmann::json& restart, RestartPolicy standard);

// With every default filled in, for answers.
nlohmann::ordered_json shown_retry(const nlohmann::json& retry);
nlohmann::ordered_json shown_restart(const nlohmann::json& restart);

}  // namespace fetcher
