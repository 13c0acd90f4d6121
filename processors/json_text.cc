#include "processors/json_text.h"

#include <simdjson.h>

#include <array>

namespace fetcher::json_text {

bool is_json(std::string_view text) {
    std::array<bool, kDeepest> in_object;
    size_t depth = 0;
    StringTraits traits;
    const char* const end = text.data() + text.size();
    const char* at = skip_space(text.data(), end);
    for (;;) {
        if (depth > 0 && in_object[depth - 1]) {  // a name comes first
            if (at == end || *at != '"') return false;
            at = skip_string(at, end, end, traits);
            if (!at) return false;
            at = skip_space(at, end);
            if (at == end || *at != ':') return false;
            at = skip_space(at + 1, end);
        }
        if (at < end && (*at == '{' || *at == '[')) {
            if (depth == kDeepest) return false;
            in_object[depth++] = *at == '{';
            const char closes = *at == '{' ? '}' : ']';
            at = skip_space(at + 1, end);
            if (at < end && *at != closes) continue;
        } else {
            at = skip_scalar(at, end, end, traits);
            if (!at) return false;
        }
        at = skip_space(at, end);
        for (; depth > 0 && at < end && *at == (in_object[depth - 1] ? '}' : ']'); depth--) at = skip_space(at + 1, end);
        if (depth == 0) return at == end && (traits.ascii || simdjson::validate_utf8(text.data(), text.size()));
        if (at == end || *at != ',') return false;
        at = skip_space(at + 1, end);
    }
}

}  // namespace fetcher::json_text
