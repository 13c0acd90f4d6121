// Problem: why a request is refused, as a value (RFC 9457). Every layer under the routes speaks it, none of them knows HTTP's wire.
// Thread: any
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace fetcher {

struct FieldError {
    std::string pointer;  // JSON pointer into the body, or "?name" for a query parameter
    std::string detail;   // what is wrong and what would be right

    bool operator==(const FieldError&) const = default;
};

struct Problem {
    int status = 500;
    std::string detail;  // a sentence for a person; names the remedy where there is one; no secrets
    std::vector<FieldError> errors;
    std::vector<std::pair<std::string, std::string>> headers;  // Allow, Retry-After, WWW-Authenticate
};

template <class T>
using Answer = tl::expected<T, Problem>;

inline tl::unexpected<Problem> problem(int status, std::string detail, std::vector<FieldError> errors = {}) {
    return tl::unexpected<Problem>(Problem{status, std::move(detail), std::move(errors), {}});
}

}  // namespace fetcher
