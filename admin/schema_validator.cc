#include "admin/schema_validator.h"

#include <algorithm>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

namespace fetcher {

using nlohmann::json;

json or_null(json schema) {
    schema["type"] = {schema["type"], "null"};
    return schema;
}

std::string pointer_token(const std::string& key) {
    std::string token = "/";
    for (const char c : key) {
        if (c == '~') token += "~0";
        else if (c == '/') token += "~1";
        else token += c;
    }
    return token;
}

namespace {

std::string joined(const json& list) {
    std::string text;
    for (const auto& item : list) text += (text.empty() ? "" : ", ") + (item.is_string() ? item.get<std::string>() : item.dump());
    return text;
}

std::string keys_of(const json& properties) {
    json names = json::array();
    for (const auto& [name, unused] : properties.items()) names.push_back(name);
    return joined(names);
}

std::string type_words(const json& type) {
    std::string words;
    for (const auto& name : type.is_array() ? type : json::array({type})) {
        const auto text = name.get<std::string>();
        const bool vowel = text == "object" || text == "array" || text == "integer";
        words += (words.empty() ? "" : " or ") + (text == "null" ? text : (vowel ? "an " : "a ") + text);
    }
    return words;
}

bool type_matches(const json& type, const json& value) {
    const auto one = [&](const std::string& name) {
        if (name == "integer") return value.is_number_integer();
        if (name == "number") return value.is_number();
        return name == value.type_name();  // string, boolean, object, array, null
    };
    return type.is_array() ? std::any_of(type.begin(), type.end(), one) : one(type.get<std::string>());
}

// What the schema asks of one value, in words; empty where it says nothing that this value breaks.
std::string broken_rule(const json& schema, const json& value) {
    if (schema.contains("type") && !type_matches(schema["type"], value)) return "must be " + type_words(schema["type"]);
    if (schema.contains("enum") && std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
        return "must be one of " + joined(schema["enum"]);
    if (value.is_number()) {
        const double number = value.get<double>();
        const bool low = schema.contains("minimum") && number < schema["minimum"].get<double>();
        const bool high = schema.contains("maximum") && number > schema["maximum"].get<double>();
        if ((low || high) && schema.contains("minimum") && schema.contains("maximum"))
            return "must be from " + schema["minimum"].dump() + " to " + schema["maximum"].dump();
        if (low) return "must be at least " + schema["minimum"].dump();
        if (high) return "must be at most " + schema["maximum"].dump();
    }
    if (value.is_string() || value.is_array()) {
        const size_t size = value.is_string() ? value.get_ref<const std::string&>().size() : value.size();
        const std::string unit = value.is_string() ? " characters" : " items";
        const auto least = schema.value(value.is_string() ? "minLength" : "minItems", size_t{0});
        const auto most = schema.value(value.is_string() ? "maxLength" : "maxItems", SIZE_MAX);
        if (size < least) return size == 0 && least == 1 ? "must not be empty" : "must have at least " + std::to_string(least) + unit;
        if (size > most) return "must have at most " + std::to_string(most) + unit;
    }
    // Only asked where the library has found the value wrong, so what is left is the pattern.
    if (schema.contains("pattern")) return "must match " + schema["pattern"].get<std::string>();
    return {};
}

void nest(const json& schema, const json& value, const std::string& pointer, std::vector<FieldError>& errors) {
    for (const auto& error : validate_by_schema(schema, value)) errors.push_back({pointer + error.pointer, error.detail});
}

// Compares the value with the schema's properties, field by field. What it does not know of (oneOf, if, …) is left to the library.
void describe(const json& schema, const json& value, const std::string& pointer, std::vector<FieldError>& errors) {
    const json properties = schema.value("properties", json::object());
    if (!value.is_object()) {
        if (auto words = broken_rule(schema, value); !words.empty()) errors.push_back({pointer, std::move(words)});
        else if (value.is_array() && schema.contains("items"))
            for (size_t i = 0; i < value.size(); ++i) nest(schema["items"], value[i], pointer + "/" + std::to_string(i), errors);
        return;
    }
    if (schema.contains("type") && !type_matches(schema["type"], value)) {
        errors.push_back({pointer, "must be " + type_words(schema["type"])});
        return;
    }
    for (const auto& name : schema.value("required", json::array()))
        if (!value.contains(name.get<std::string>())) errors.push_back({pointer + pointer_token(name), "is required"});
    for (const auto& [name, field] : value.items()) {
        if (properties.contains(name)) {
            nest(properties[name], field, pointer + pointer_token(name), errors);
        } else if (schema.value("additionalProperties", json(true)) == json(false)) {
            errors.push_back({pointer + pointer_token(name), "is unknown; known: " + keys_of(properties)});
        }
    }
}

// The library's path to a value: "<root>", "[processor_configs]", "[0]".
std::string pointer_of(const std::vector<std::string>& context) {
    std::string pointer;
    for (size_t i = 1; i < context.size(); ++i) pointer += pointer_token(context[i].substr(1, context[i].size() - 2));
    return pointer;
}

// The library's own verdict: its most particular complaint.
std::vector<FieldError> judge(const json& schema, const json& value) {
    valijson::Schema compiled;
    const valijson::adapters::NlohmannJsonAdapter schema_adapter(schema);
    const valijson::adapters::NlohmannJsonAdapter value_adapter(value);
    try {
        valijson::SchemaParser(valijson::SchemaParser::kDraft7).populateSchema(schema_adapter, compiled);
        valijson::ValidationResults results;
        valijson::Validator validator(valijson::Validator::kStrongTypes);
        if (validator.validate(compiled, value_adapter, &results)) return {};
        valijson::ValidationResults::Error error, deepest;
        while (results.popError(error))
            if (error.context.size() > deepest.context.size()) deepest = error;
        return {{pointer_of(deepest.context), deepest.description}};
    } catch (const std::exception& error) {
        return {{"", std::string("cannot be judged: the schema of this build is not usable: ") + error.what()}};
    }
}

}  // namespace

std::vector<FieldError> validate_by_schema(const json& schema, const json& value) {
    auto verdict = judge(schema, value);
    if (verdict.empty()) return {};
    std::vector<FieldError> errors;
    describe(schema, value, "", errors);
    return errors.empty() ? verdict : errors;
}

}  // namespace fetcher
