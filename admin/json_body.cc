#include "admin/json_body.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace fetcher {

namespace {

// Looked at before parsing, so that the parser never holds a deep value.
size_t depth_of(std::string_view text) {
    size_t depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            else if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            deepest = std::max(deepest, ++depth);
        } else if ((c == '}' || c == ']') && depth > 0) {
            --depth;
        }
    }
    return deepest;
}

// "[json.exception.parse_error.101] parse error at line 1, column 2: …" without the library's tag.
std::string words_of(const nlohmann::json::exception& error) {
    std::string words = error.what();
    if (const auto end = words.find("] "); words.starts_with('[') && end != std::string::npos) words.erase(0, end + 2);
    return words;
}

}  // namespace

Answer<nlohmann::json> parse_json_body(std::string_view body) {
    using Event = nlohmann::json::parse_event_t;
    if (body.empty()) return problem(400, "The body is empty; a JSON object is expected.");
    if (depth_of(body) > kMaxJsonDepth) return problem(400, "The body is nested deeper than " + std::to_string(kMaxJsonDepth) + " levels.");

    std::vector<std::set<std::string>> keys;
    std::string repeated;
    const auto watch = [&](int, Event event, nlohmann::json& value) {
        if (event == Event::object_start) keys.emplace_back();
        if (event == Event::object_end) keys.pop_back();
        if (event == Event::key && !keys.back().insert(value.get<std::string>()).second) repeated = value.get<std::string>();
        return true;
    };
    try {
        auto value = nlohmann::json::parse(body, watch);
        if (!repeated.empty()) return problem(400, "The field \"" + repeated + "\" appears twice in one object.");
        return value;
    } catch (const nlohmann::json::exception& error) {
        return problem(400, "The body is not JSON: " + words_of(error));
    }
}

}  // namespace fetcher
