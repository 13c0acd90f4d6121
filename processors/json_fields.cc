#include "processors/json_fields.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "processors/byte_buffer.h"
#include "processors/json_text.h"

namespace fetcher {
namespace {

namespace od = simdjson::ondemand;

std::string_view trimmed(std::string_view token) {
    while (!token.empty() && (token.back() == ' ' || token.back() == '\n' || token.back() == '\t' || token.back() == '\r')) token.remove_suffix(1);
    return token;
}

bool leads_nowhere(simdjson::error_code error) {
    return error == simdjson::NO_SUCH_FIELD || error == simdjson::INDEX_OUT_OF_BOUNDS || error == simdjson::INCORRECT_TYPE ||
           error == simdjson::SCALAR_DOCUMENT_AS_VALUE;
}

// 0: the value was taken. The token is looked at before simdjson is asked: most values need no more.
inline simdjson::error_code take(od::value&& value, JsonValue& into, std::string& unescaped) {
    const auto token = trimmed(value.raw_json_token());
    switch (token.empty() ? ' ' : token.front()) {
        case 'n':
            set(into, JsonValue::Kind::null, token.substr(0, 0));
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
                set(into, JsonValue::Kind::string, token.substr(1, token.size() - 2));
                return simdjson::SUCCESS;
            }
            std::string_view text;
            if (const auto error = value.get_string().get(text)) return error;
            unescaped = text;  // the next pointer may use the parser's own buffer again
            set(into, JsonValue::Kind::string, unescaped, true);
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

// One token of a JSON pointer further. (simdjson's at_pointer compares names as they are written, with their escapes.)
simdjson::error_code step_down(od::value& value, const std::string& token) {
    od::json_type type;
    if (const auto error = value.type().get(type)) return error;
    if (type == od::json_type::array) {
        size_t index = 0;
        const auto [end, failed] = std::from_chars(token.data(), token.data() + token.size(), index);
        const bool number = failed == std::errc() && end == token.data() + token.size() && (token[0] != '0' || token.size() == 1);
        od::array array;
        if (!number) return simdjson::NO_SUCH_FIELD;
        if (const auto error = value.get_array().get(array)) return error;
        return array.at(index).get(value);
    }
    od::object object;
    if (const auto error = value.get_object().get(object)) return error;
    for (auto field : object) {
        if (field.error()) return field.error();
        std::string_view name;
        if (field.unescaped_key().get(name) || name != token) continue;
        value = std::move(field.value_unsafe().value());
        return simdjson::SUCCESS;
    }
    return simdjson::NO_SUCH_FIELD;
}

// "/a~1b/c" is "a/b", "c".
std::vector<std::string> tokens_of(std::string_view pointer) {
    std::vector<std::string> tokens;
    for (size_t i = 0; i < pointer.size(); i++) {
        if (pointer[i] == '/') tokens.emplace_back();
        else if (pointer[i] == '~') tokens.back() += pointer[++i] == '1' ? '/' : '~';
        else tokens.back() += pointer[i];
    }
    return tokens;
}

// Of members with one name the first counts.
simdjson::error_code take_members_of(od::object& object, const std::vector<size_t>& members, const std::vector<std::vector<std::string>>& paths,
                                     std::vector<JsonValue>& values, std::vector<std::string>& unescaped) {
    size_t left = members.size();
    for (auto field : object) {
        if (field.error()) return field.error();
        std::string_view name;
        if (field.unescaped_key().get(name)) continue;  // half a surrogate pair: no pointer is that
        const JsonValue* found = nullptr;
        for (const size_t i : members) {
            JsonValue& value = values[i];
            if (paths[i].front() != name || value.text.data()) continue;
            if (found) value = *found;
            else if (const auto error = take(std::move(field.value_unsafe().value()), value, unescaped[i])) return error;
            found = &value;
            left--;
        }
        if (left == 0) break;
    }
    return simdjson::SUCCESS;
}

}  // namespace

struct JsonFields::Parser {
    od::parser parser;
    od::document document;
    ByteBuffer padded;
};

JsonFields::JsonFields(const std::vector<std::string>& pointers)
    : parser_(std::make_unique<Parser>()), values_(pointers.size()), unescaped_(pointers.size()) {
    for (const auto& pointer : pointers) paths_.push_back(tokens_of(pointer));
    for (size_t i = 0; i < paths_.size(); i++) (paths_[i].size() == 1 ? members_ : deeper_).push_back(i);
}

JsonFields::~JsonFields() = default;

const std::vector<JsonValue>* JsonFields::read(std::string_view document, size_t readable_after) {
    static_assert(JsonLayout::kPadding <= simdjson::SIMDJSON_PADDING);
    const std::string_view padded(readable_after < simdjson::SIMDJSON_PADDING ? copy_padded(document) : document.data(), document.size());
    const bool tried = pause_ == 0;
    parsed_ = !tried || !fits(padded);
    if (!parsed_) return &values_;
    if (!parse(padded)) return nullptr;
    if (tried) learn(padded);
    else pause_--;
    return &values_;
}

bool JsonFields::fits(std::string_view padded) {
    for (size_t i = 0; i < kLayouts; i++) {
        if (!layouts_[order_[i]].read(padded, values_)) continue;
        to_front(i);
        misses_ = 0;
        return true;
    }
    return false;
}

void JsonFields::to_front(size_t i) {
    const auto which = order_[i];
    for (; i > 0; i--) order_[i] = order_[i - 1];
    order_[0] = which;
}

// Instead of the one that has not fitted for the longest time. Where one document after the other fits none, fewer and fewer are tried.
void JsonFields::learn(std::string_view padded) {
    constexpr unsigned kPatience = 8, kLongestPause = 4'096;  // documents
    if (layouts_[order_.back()].learn(padded, values_)) to_front(kLayouts - 1);
    if (++misses_ >= kPatience) pause_ = std::min(1U << std::min(misses_ - kPatience + 3, 12U), kLongestPause);
}

bool JsonFields::parse(std::string_view padded) {
    std::fill(values_.begin(), values_.end(), JsonValue{});
    const simdjson::padded_string_view view(padded.data(), padded.size(), padded.size() + simdjson::SIMDJSON_PADDING);
    if (const auto error = parser_->parser.iterate(view).get(parser_->document)) {
        problem_ = simdjson::error_message(error);
        return false;
    }
    // On demand, simdjson takes for granted what it passes over.
    if (!json_text::is_json(padded)) {
        problem_ = "it is malformed, or nested more than " + std::to_string(json_text::kDeepest) + " deep";
        return false;
    }
    return take_members() && take_pointers(deeper_);
}

const char* JsonFields::copy_padded(std::string_view document) {
    auto& padded = parser_->padded;
    padded.clear();
    char* text = padded.room(document.size() + simdjson::SIMDJSON_PADDING);
    if (!document.empty()) std::memcpy(text, document.data(), document.size());
    std::memset(text + document.size(), 0, simdjson::SIMDJSON_PADDING);
    return text;
}

bool JsonFields::take_members() {
    od::json_type type;
    auto error = parser_->document.type().get(type);
    if (!error && type == od::json_type::array) return take_pointers(members_);
    if (!error && type != od::json_type::object) {
        problem_ = "it is neither an object nor an array";
        return false;
    }
    od::object object;
    if (!error) error = parser_->document.get_object().get(object);
    if (!error && !members_.empty()) error = take_members_of(object, members_, paths_, values_, unescaped_);
    if (error) problem_ = simdjson::error_message(error);
    return !error;
}

bool JsonFields::take_pointers(const std::vector<size_t>& which) {
    for (const size_t i : which) {
        od::value value;
        parser_->document.rewind();
        simdjson::error_code error = parser_->document.get_value().get(value);
        for (size_t t = 0; t < paths_[i].size() && !error; t++) error = step_down(value, paths_[i][t]);
        if (!error) error = take(std::move(value), values_[i], unescaped_[i]);
        if (error && !leads_nowhere(error)) {
            problem_ = simdjson::error_message(error);
            return false;
        }
    }
    return true;
}

}  // namespace fetcher
