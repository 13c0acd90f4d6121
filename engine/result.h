// Errors as values, for everything that leaves the process.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace fetcher {

enum class ErrorKind {
    transient,  // trying the same thing again later can succeed: network, lock held elsewhere, disk full
    fatal,      // a person or an outside change has to mend it: rights, missing table, damaged checkpoint
};

struct Error {
    ErrorKind kind = ErrorKind::fatal;
    std::string reason;  // one sentence for a person; names the field or path and, where there is one, the remedy; no secrets
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> transient(std::string reason) {
    return tl::unexpected<Error>(Error{ErrorKind::transient, std::move(reason)});
}
inline tl::unexpected<Error> fatal(std::string reason) {
    return tl::unexpected<Error>(Error{ErrorKind::fatal, std::move(reason)});
}

// A broken invariant (an offset that goes back, an ack without a batch): prints the message and aborts, in release too.
// Going on would risk the promise that no record is lost.
[[noreturn]] void invariant_broken(const char* file, int line, const char* what);
#define FETCHER_INVARIANT(condition, what) ((condition) ? void() : ::fetcher::invariant_broken(__FILE__, __LINE__, (what)))

}  // namespace fetcher
