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
    if (of_class == "25" || of_class == "40" || of_class == "53" || of_class == "55" || of_class == "58" || of_class == "XX") return Kind::transient;
    // 44: a view's check option; 54: a limit such as the size of an index row; P0: raised by a trigger; 21: a key twice in one statement.
    if (of_class == "21" || of_class == "22" || of_class == "23" || of_class == "44" || of_class == "54" || of_class == "P0") return Kind::row;
    return Kind::fatal;
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
