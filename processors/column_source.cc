#include "processors/column_source.h"

#include <array>
#include <utility>

namespace fetcher {
namespace {

using Part = ColumnSource::Part;

constexpr std::array<std::pair<std::string_view, Part>, 7> kParts{{{"$topic", Part::topic},
                                                                   {"$partition", Part::partition},
                                                                   {"$offset", Part::offset},
                                                                   {"$timestamp", Part::timestamp},
                                                                   {"$key", Part::key},
                                                                   {"$headers", Part::headers},
                                                                   {"$value", Part::value}}};

// A ~ is followed by 0 or 1.
bool is_pointer(std::string_view text) {
    if (!text.starts_with('/')) return false;
    for (size_t i = 0; i < text.size(); i++)
        if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1'))) return false;
    return true;
}

}  // namespace

std::optional<ColumnSource> ColumnSource::parse(std::string_view text) {
    if (is_pointer(text)) return ColumnSource{Part::value, std::string(text)};
    for (const auto& [name, part] : kParts) {
        if (text == name) return ColumnSource{part, {}};
        const bool may_be_json = part == Part::key || part == Part::value;
        if (may_be_json && text.starts_with(name) && is_pointer(text.substr(name.size())))
            return ColumnSource{part, std::string(text.substr(name.size()))};
    }
    return std::nullopt;
}

const char* ColumnSource::rule() {
    return "must be a JSON pointer into the value (\"/user/id\") or into the key (\"$key/id\"), or one of $topic, $partition, $offset, "
           "$timestamp, $key, $headers, $value";
}

}  // namespace fetcher
