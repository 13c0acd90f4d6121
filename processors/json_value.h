// JsonValue: what a JSON pointer leads to.
#pragma once

#include <string_view>

namespace fetcher {

struct JsonValue {
    enum class Kind { null, boolean, number, string, json };  // null: also where the pointer leads nowhere
    Kind kind = Kind::null;
    // Of a string without its quotes and escapes, of null nothing, else the JSON itself. Without address where the pointer leads nowhere.
    std::string_view text;
    bool may_hold_nul = false;  // true for strings with escapes; without, JSON has no control characters
};

// Member by member: a value that is put together and then copied costs more, for the copy waits for its parts.
inline void set(JsonValue& into, JsonValue::Kind kind, std::string_view text, bool may_hold_nul = false) {
    into.kind = kind;
    into.text = text;
    into.may_hold_nul = may_hold_nul;
}

}  // namespace fetcher
