// DatabaseFailure: why PostgreSQL did not do what it was asked, sorted by what follows from it.
// Thread: any
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace fetcher {

struct DatabaseFailure {
    enum class Kind {
        stopped,     // we were told to stop
        connection,  // the connection is gone or not to be had; whether the last statement took effect is not known
        transient,   // the transaction was rolled back and may succeed the next time: deadlock, timeout, disk full
        row,         // the data is refused: constraint, type, encoding, a trigger
        moved,       // the position row is not where we left it: somebody else has written, or we have, and the answer was lost
        fatal,       // a person has to mend something: rights, missing table, wrong password
    };
    Kind kind = Kind::fatal;
    std::string sqlstate;  // empty where the server said nothing
    std::string words;     // one sentence: what PostgreSQL said, without DETAIL, which repeats rows; it may quote a value that it does not take
    int statement = 0;     // index of the statement that failed within what was sent together
    bool timed_out = false;  // it took longer than it may: less at once may succeed
};

template <class T>
using DatabaseResult = tl::expected<T, DatabaseFailure>;

inline tl::unexpected<DatabaseFailure> failed(DatabaseFailure failure) { return tl::unexpected<DatabaseFailure>(std::move(failure)); }

// What follows from an error of a statement.
DatabaseFailure::Kind kind_of_statement_error(std::string_view sqlstate);
// What follows from an error while connecting: "28P01", "" where the server was not reached.
DatabaseFailure::Kind kind_of_connect_error(std::string_view sqlstate, std::string_view words);
// What a person can do about it; "" if nothing is known.
std::string remedy_for(std::string_view sqlstate);

}  // namespace fetcher
