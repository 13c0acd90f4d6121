#include "processors/database_failure.h"

namespace fetcher {

using Kind = DatabaseFailure::Kind;

Kind kind_of_statement_error(std::string_view sqlstate) {
    if (sqlstate.size() != 5) return Kind::connection;
    const auto of_class = sqlstate.substr(0, 2);
    if (sqlstate == "08P01") return Kind::row;  // a value that a type's input function does not take: no matter of the connection
    if (of_class == "08" || of_class == "57") return sqlstate == "57014" ? Kind::transient : Kind::connection;  // 57014: a timeout
    if (sqlstate == "25P03" || sqlstate == "25P04") return Kind::connection;  // the server has ended the session: idle within a transaction, or too long
    if (sqlstate == "25006") return Kind::connection;  // read-only: a standby; the name may lead to the primary the next time
    if (of_class == "25" || of_class == "40" || of_class == "53" || of_class == "55" || of_class == "58" || of_class == "72" || of_class == "XX") return Kind::transient;
    // What does not depend on the row: rights, names, what the server cannot do, its configuration.
    for (const char* not_of_the_row : {"0A", "0B", "0L", "0P", "24", "26", "28", "2B", "2D", "34", "3B", "3D", "3F", "42", "F0", "HV"})
        if (of_class == not_of_the_row) return Kind::fatal;
    // Constraints, types, limits, and whatever code a trigger makes up.
    return Kind::row;
}

Kind kind_of_connect_error(std::string_view sqlstate, std::string_view words) {
    if (sqlstate.empty()) {
        const bool certificate = words.find("no password supplied") != std::string_view::npos || words.find("root certificate") != std::string_view::npos ||
                                 words.find("certificate verify failed") != std::string_view::npos ||
                                 words.find("does not match host name") != std::string_view::npos ||
                                 words.find("server does not support SSL") != std::string_view::npos;
        return certificate ? Kind::fatal : Kind::connection;
    }
    const auto of_class = sqlstate.substr(0, 2);
    return of_class == "28" || of_class == "3D" || of_class == "42" || of_class == "22" ? Kind::fatal : Kind::connection;
}

std::string remedy_for(std::string_view sqlstate) {
    if (sqlstate.starts_with("28")) return "check user and password in db_dsn, and the server's pg_hba.conf";
    if (sqlstate == "3D000") return "create the database, or correct it in db_dsn";
    if (sqlstate == "3F000") return "create the schema, or correct table";
    if (sqlstate == "42501") return "grant the role of db_dsn the missing rights, and restart the consumer";
    if (sqlstate == "42P01") return "create the table, or set create_table to true";
    if (sqlstate == "42703") return "add the column, or change columns";
    if (sqlstate == "42P10") return "create a unique index on exactly the key_columns";
    return {};
}

}  // namespace fetcher
