#include "admin/consumer_fields.h"

#include <algorithm>
#include <array>
#include <string>

#include "admin/failure_fields.h"
#include "admin/schema_validator.h"
#include "engine/ip_address.h"
#include "processors/dead_letter_destination.h"

namespace fetcher {

using nlohmann::json;

namespace {

constexpr size_t kMaxTopicLength = 249;  // Kafka's
constexpr size_t kMaxNameLength = 255;
constexpr size_t kMaxProcessors = 32;

json processor_schema(BodyKind kind) {
    json properties = {{"id", {{"type", "string"}}},
                       {"processor_type", {{"type", "string"}}},
                       {"config", {{"type", "object"}}},
                       {"required", {{"type", "boolean"}}}};
    if (kind == BodyKind::update) {
        // Accepted and ignored, so that processor_configs of an answer can be edited and sent back.
        properties["created_at"] = {{"type", "string"}};
        properties["updated_at"] = {{"type", "string"}};
    } else {
        properties.erase("id");
    }
    return {{"type", "object"}, {"additionalProperties", false}, {"required", {"processor_type"}}, {"properties", std::move(properties)}};
}

json consumer_schema(BodyKind kind) {
    json schema = {
        {"type", "object"},
        {"additionalProperties", false},
        {"properties",
         {{"broker_ip", {{"type", "string"}}},
          {"broker_port", {{"type", "integer"}, {"minimum", 1}, {"maximum", 65535}}},
          {"topic", {{"type", "string"}}},
          {"consumer_group", {{"type", "string"}}},
          {"auto_offset_reset", {{"type", "string"}, {"enum", {"earliest", "latest"}}}},
          {"partition_assignment_strategy", {{"type", "string"}, {"enum", {"range", "roundrobin", "cooperative-sticky"}}}},
          {"kafka_properties", {{"type", "object"}}},
          {"dead_letter", or_null(dead_letter_schema())},
          {"retry", retry_schema()},
          {"restart", restart_schema()},
          {"processor_configs", {{"type", "array"}, {"minItems", 1}, {"maxItems", kMaxProcessors}, {"items", processor_schema(kind)}}}}}};
    if (kind == BodyKind::create) {
        schema["required"] = {"broker_ip", "broker_port", "topic", "consumer_group", "processor_configs"};
        schema["properties"]["auto_start"] = {{"type", "boolean"}};
    }
    return schema;
}

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool consists_of(const std::string& text, const std::string& also) {
    return std::all_of(text.begin(), text.end(), [&](char c) { return is_letter_or_digit(c) || also.find(c) != std::string::npos; });
}

std::string wrong_topic(const std::string& topic) {
    if (topic.empty()) return "must not be empty";
    if (topic.starts_with('^')) return "must name one topic; patterns (a leading ^) are not allowed";
    if (topic.starts_with("__")) return "must not begin with __: those topics are Kafka's own";
    if (topic.size() > kMaxTopicLength || topic == "." || topic == ".." || !consists_of(topic, "._-"))
        return "must be 1 to 249 letters, digits, dots, underscores or dashes, and not . or ..";
    return {};
}

std::string wrong_group(const std::string& group) {
    if (group.empty()) return "must not be empty";
    if (group.size() > kMaxNameLength) return "must have at most 255 characters";
    if (std::any_of(group.begin(), group.end(), [](unsigned char c) { return c < ' ' || c == 127; }))
        return "must not contain control characters";
    return {};
}

std::string wrong_host(const std::string& host) {
    if (host.empty()) return "must not be empty";
    const auto literal = IpAddress::parse(host);
    if (literal && is_never_allowed(*literal)) return "must not be a link-local or metadata address: to those nothing is ever sent";
    if (host.find(':') != std::string::npos) return literal ? "" : "must be an IP address or a host name, without a port";
    if (host.size() > kMaxNameLength || !consists_of(host, "._-") || host.starts_with('-') || host.starts_with('.') ||
        host.find("..") != std::string::npos)
        return "must be an IP address or a host name";
    return {};
}

// Fields that an answer shows and a body may not set; says what to do instead.
std::string read_only(const std::string& name, BodyKind kind) {
    constexpr std::array kReadOnly = {"consumer_id", "status", "created_at", "updated_at", "revision", "health", "last_error", "metrics"};
    if (name == "auto_start" && kind == BodyKind::update) return "belongs to creation; use POST …/start or …/stop";
    if (name == "status") return "is read-only; use POST …/start or …/stop";
    if (std::find(kReadOnly.begin(), kReadOnly.end(), name) != kReadOnly.end()) return "is read-only; leave it out";
    return {};
}

}  // namespace

std::vector<FieldError> check_consumer_fields(const json& body, BodyKind kind) {
    auto errors = validate_by_schema(consumer_schema(kind), body);
    if (!body.is_object()) return errors;
    for (auto& error : errors)
        if (auto words = read_only(error.pointer.empty() ? "" : error.pointer.substr(1), kind); !words.empty())
            error.detail = std::move(words);

    const std::array<std::pair<const char*, std::string (*)(const std::string&)>, 3> rules{
        {{"topic", wrong_topic}, {"consumer_group", wrong_group}, {"broker_ip", wrong_host}}};
    for (const auto& [name, rule] : rules) {
        const auto field = body.find(name);
        if (field == body.end() || !field->is_string()) continue;
        if (auto words = rule(field->get<std::string>()); !words.empty()) errors.push_back({pointer_token(name), std::move(words)});
    }
    if (const auto properties = body.find("kafka_properties"); properties != body.end() && properties->is_object())
        for (const auto& [name, value] : properties->items())
            if (!value.is_string() && !value.is_number_integer() && !value.is_boolean())
                errors.push_back({"/kafka_properties" + pointer_token(name), "must be a string, a whole number or a boolean"});
    if (!errors.empty()) return errors;
    if (const auto letters = body.find("dead_letter"); letters != body.end() && letters->contains("topic"))
        if (auto words = wrong_topic((*letters)["topic"].get<std::string>()); !words.empty()) errors.push_back({"/dead_letter/topic", std::move(words)});
    std::ranges::move(check_failure_fields(body), std::back_inserter(errors));
    return errors;
}

}  // namespace fetcher
