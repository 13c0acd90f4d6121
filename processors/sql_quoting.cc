#include "processors/sql_quoting.h"

namespace fetcher {
namespace {

std::string doubled(std::string_view text, char quote, bool backslash_too) {
    std::string quoted(1, quote);
    for (const char c : text) {
        if (c == quote || (backslash_too && c == '\\')) quoted += c;
        quoted += c;
    }
    return quoted += quote;
}

}  // namespace

std::string quoted_identifier(std::string_view name) { return doubled(name, '"', false); }

// With a backslash the E form, which means the same whatever standard_conforming_strings says.
std::string quoted_literal(std::string_view text) {
    const bool backslash = text.find('\\') != std::string_view::npos;
    return (backslash ? " E" : "") + doubled(text, '\'', backslash);
}

}  // namespace fetcher
