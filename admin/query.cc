#include "admin/query.h"

#include <algorithm>
#include <charconv>

namespace fetcher {

Answer<std::map<std::string, std::string>> parse_query(const HttpRequest& request, const std::vector<QueryParameter>& known) {
    std::map<std::string, std::string> values;
    std::vector<FieldError> errors;
    std::string names;
    for (const auto& parameter : known) names += (names.empty() ? "" : ", ") + std::string(parameter.name);
    for (const auto& [name, value] : request.query) {
        const bool found = std::any_of(known.begin(), known.end(), [&](const auto& parameter) { return name == parameter.name; });
        if (!found) errors.push_back({"?" + name, "is unknown; known: " + names});
        else if (value.empty()) errors.push_back({"?" + name, "must not be empty"});
        else if (!values.emplace(name, value).second) errors.push_back({"?" + name, "is given twice"});
    }
    for (const auto& parameter : known)
        if (parameter.required && !request.query.contains(parameter.name))
            errors.push_back({"?" + std::string(parameter.name), "is required"});
    if (!errors.empty()) return problem(422, "The query is not valid; see errors.", std::move(errors));
    return values;
}

std::optional<int64_t> parse_number(std::string_view text, int64_t least, int64_t most) {
    int64_t number = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (code != std::errc() || end != text.data() + text.size() || number < least || number > most) return std::nullopt;
    return number;
}

}  // namespace fetcher
