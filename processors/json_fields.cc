#include "processors/json_fields.h"

#include <simdjson.h>

#include <cstring>

#include "processors/byte_buffer.h"

namespace fetcher {
namespace {

namespace od = simdjson::ondemand;

std::string_view trimmed(std::string_view token) {
    while (!token.empty() && (token.back() == ' ' || token.back() == '\n' || token.back() == '\t' || token.back() == '\r')) token.remove_suffix(1);
    return token;
}

bool leads_nowhere(simdjson::error_code error) {
    return error == simdjson::NO_SUCH_FIELD || error == simdjson::INDEX_OUT_OF_BOUNDS || error == simdjson::INCORRECT_TYPE ||
           error == simdjson::INVALID_JSON_POINTER || error == simdjson::SCALAR_DOCUMENT_AS_VALUE;
}

// Member by member: a value that is put together and then copied costs more, for the copy waits for its parts.
void set(JsonValue& into, JsonValue::Kind kind, std::string_view text, bool may_hold_nul = true) {
    into.kind = kind;
    into.text = text;
    into.may_hold_nul = may_hold_nul;
}

// 0: the value was taken. The token is looked at before simdjson is asked: most values need no more.
inline simdjson::error_code take(od::value&& value, JsonValue& into, std::string& unescaped) {
    const auto token = trimmed(value.raw_json_token());
    switch (token.empty() ? ' ' : token.front()) {
        case 'n':
            into = {};
            return token == "null" ? simdjson::SUCCESS : simdjson::N_ATOM_ERROR;
        case 't':
        case 'f':
            set(into, JsonValue::Kind::boolean, token);
            return token == "true" || token == "false" ? simdjson::SUCCESS : simdjson::T_ATOM_ERROR;
        case '-':
        case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
            set(into, JsonValue::Kind::number, token);
            return simdjson::SUCCESS;
        case '"': {
            if (token.size() >= 2 && token.back() == '"' && token.find('\\') == std::string_view::npos) {
                set(into, JsonValue::Kind::string, token.substr(1, token.size() - 2), false);
                return simdjson::SUCCESS;
            }
            std::string_view text;
            if (const auto error = value.get_string().get(text)) return error;
            unescaped = text;  // the next pointer may use the parser's own buffer again
            set(into, JsonValue::Kind::string, unescaped);
            return simdjson::SUCCESS;
        }
        case '{':
        case '[': {
            std::string_view json;
            if (const auto error = simdjson::to_json_string(value).get(json)) return error;
            set(into, JsonValue::Kind::json, trimmed(json));
            return simdjson::SUCCESS;
        }
        default: return simdjson::TAPE_ERROR;
    }
}

}  // namespace

struct JsonFields::Parser {
    od::parser parser;
    od::document document;
    ByteBuffer padded;
};

JsonFields::JsonFields(std::vector<std::string> pointers)
    : pointers_(std::move(pointers)), parser_(std::make_unique<Parser>()), values_(pointers_.size()), unescaped_(pointers_.size()) {
    for (size_t i = 0; i < pointers_.size(); i++) {
        const bool member = pointers_[i].find('/', 1) == std::string::npos && pointers_[i].find('~') == std::string::npos;
        (member ? members_ : deeper_).push_back(i);
        if (member) names_.push_back(pointers_[i].substr(1));
    }
}

JsonFields::~JsonFields() = default;

const std::vector<JsonValue>* JsonFields::read(std::string_view document, size_t readable_after) {
    std::fill(values_.begin(), values_.end(), JsonValue{});
    const char* text = document.data();
    if (readable_after < simdjson::SIMDJSON_PADDING) text = copy_padded(document);
    const simdjson::padded_string_view view(text, document.size(), document.size() + simdjson::SIMDJSON_PADDING);
    if (const auto error = parser_->parser.iterate(view).get(parser_->document)) {
        problem_ = simdjson::error_message(error);
        return nullptr;
    }
    return take_members() && take_pointers(deeper_) ? &values_ : nullptr;
}

const char* JsonFields::copy_padded(std::string_view document) {
    auto& padded = parser_->padded;
    padded.clear();
    char* text = padded.room(document.size() + simdjson::SIMDJSON_PADDING);
    if (!document.empty()) std::memcpy(text, document.data(), document.size());
    std::memset(text + document.size(), 0, simdjson::SIMDJSON_PADDING);
    return text;
}

// In one pass where the pointers come in the document's order.
bool JsonFields::take_members() {
    od::json_type type;
    auto error = parser_->document.type().get(type);
    if (!error && type == od::json_type::array) return take_pointers(members_);
    if (!error && type != od::json_type::object) {
        problem_ = "it is neither an object nor an array";
        return false;
    }
    od::object object;
    if (!error && !members_.empty()) error = parser_->document.get_object().get(object);
    for (size_t m = 0; m < members_.size() && !error; m++) {
        const size_t i = members_[m];
        auto found = object.find_field_unordered(names_[m]);
        error = found.error();
        if (!error) error = take(std::move(found).value_unsafe(), values_[i], unescaped_[i]);
        else if (error == simdjson::NO_SUCH_FIELD) error = simdjson::SUCCESS;
    }
    if (error) problem_ = simdjson::error_message(error);
    return !error;
}

bool JsonFields::take_pointers(const std::vector<size_t>& which) {
    for (const size_t i : which) {
        od::value value;
        auto error = parser_->document.at_pointer(pointers_[i]).get(value);
        if (!error) error = take(std::move(value), values_[i], unescaped_[i]);
        if (error && !leads_nowhere(error)) {
            problem_ = simdjson::error_message(error);
            return false;
        }
    }
    return true;
}

}  // namespace fetcher
