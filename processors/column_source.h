// ColumnSource: from which part of a record a column takes its value, as in the option `columns`.
// Thread: any; immutable
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fetcher {

struct ColumnSource {
    enum class Part { topic, partition, offset, timestamp, key, headers, value };
    Part part = Part::value;
    std::string pointer;  // JSON pointer within key or value; empty: the bytes as they are

    // "$topic", "$partition", "$offset", "$timestamp", "$key", "$headers", "$value", "/a/b" (within the value), "$key/a/b".
    static std::optional<ColumnSource> parse(std::string_view text);
    // What is wrong with the text, for a person.
    static const char* rule();

    bool is_json() const { return !pointer.empty(); }
    // Whether a record without a value still has it.
    bool survives_tombstone() const { return part != Part::value; }
};

}  // namespace fetcher
