#include "admin/failure_fields.h"

#include <fmt/format.h>

#include "admin/schema_validator.h"
#include "processors/duration.h"

namespace fetcher {

using nlohmann::json;
using std::chrono::milliseconds;

namespace {

json duration_schema(const char* description) { return {{"type", "string"}, {"pattern", kDurationPattern}, {"description", description}}; }

json object_of(json properties) { return or_null({{"type", "object"}, {"additionalProperties", false}, {"properties", std::move(properties)}}); }

// nullopt: not given, or null.
std::optional<milliseconds> duration_in(const json& fields, const char* name) {
    const auto at = fields.is_object() ? fields.find(name) : fields.end();
    if (at == fields.end() || !at->is_string()) return std::nullopt;
    return parse_duration(at->get<std::string>());
}

std::string shown(milliseconds time) {
    return time.count() % 1'000 == 0 ? fmt::format("{}s", time.count() / 1'000) : fmt::format("{}ms", time.count());
}

void check_durations(const json& body, const char* field, std::initializer_list<const char*> names, milliseconds initial, milliseconds max,
                     std::vector<FieldError>& errors) {
    const auto at = body.find(field);
    if (at == body.end() || !at->is_object()) return;
    const std::string pointer = std::string("/") + field;
    for (const auto* name : names) {
        const auto given = at->find(name);
        if (given == at->end() || !given->is_string()) continue;
        const auto time = parse_duration(given->get<std::string>());
        if (!time || time->count() == 0)
            errors.push_back({pointer + "/" + name, "must be a whole number above 0 with a unit (ms, s, m or h), as in \"10s\""});
    }
    if (errors.empty() && duration_in(*at, "initial").value_or(initial) > duration_in(*at, "max").value_or(max))
        errors.push_back({pointer + "/initial", "must not be longer than max"});
}

}  // namespace

json retry_schema() {
    return object_of({{"initial", duration_schema("The first pause before a failed write is tried again; it doubles from try to try.")},
                      {"max", duration_schema("The longest pause.")},
                      {"jitter", {{"type", "number"}, {"minimum", 0}, {"maximum", 1}, {"description", "Up to which part of a pause is left out, at random."}}},
                      {"give_up_after", or_null(duration_schema("After so long without a success the consumer goes to ERROR. null: never."))}});
}

json restart_schema() {
    return object_of({{"initial", duration_schema("The first pause before a consumer in ERROR, or a processor that is not required and has failed, is started again; it doubles from time to time.")},
                      {"max", duration_schema("The longest pause.")},
                      {"attempts", or_null({{"type", "integer"}, {"minimum", 0}, {"maximum", 1'000'000},
                                            {"description", "So many starts in a row that fail, then it waits for a person. null: for ever."}})}});
}

std::vector<FieldError> check_failure_fields(const json& body) {
    std::vector<FieldError> errors;
    check_durations(body, "retry", {"initial", "max", "give_up_after"}, RetryPolicy{}.initial, RetryPolicy{}.max, errors);
    check_durations(body, "restart", {"initial", "max"}, RestartPolicy{}.initial, RestartPolicy{}.max, errors);
    return errors;
}

RetryPolicy retry_policy(const json& retry) {
    RetryPolicy policy;
    policy.initial = duration_in(retry, "initial").value_or(policy.initial);
    policy.max = duration_in(retry, "max").value_or(policy.max);
    policy.give_up_after = duration_in(retry, "give_up_after");
    if (retry.is_object()) policy.jitter = retry.value("jitter", policy.jitter);
    return policy;
}

RestartPolicy restart_policy(const json& restart, RestartPolicy standard) {
    standard.initial = duration_in(restart, "initial").value_or(standard.initial);
    standard.max = duration_in(restart, "max").value_or(standard.max);
    if (restart.is_object() && restart.contains("attempts") && !restart["attempts"].is_null()) standard.attempts = restart["attempts"].get<int>();
    return standard;
}

nlohmann::ordered_json shown_retry(const json& retry) {
    const auto policy = retry_policy(retry);
    return {{"initial", shown(policy.initial)},
            {"max", shown(policy.max)},
            {"jitter", policy.jitter},
            {"give_up_after", policy.give_up_after ? nlohmann::ordered_json(shown(*policy.give_up_after)) : nullptr}};
}

nlohmann::ordered_json shown_restart(const json& restart) {
    const auto policy = restart_policy(restart, {});
    return {{"initial", shown(policy.initial)},
            {"max", shown(policy.max)},
            {"attempts", policy.attempts ? nlohmann::ordered_json(*policy.attempts) : nullptr}};
}

}  // namespace fetcher
