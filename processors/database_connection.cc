#include "processors/database_connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace fetcher {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kFlagLook{50};  // how soon a flag is seen that rings no bell
constexpr std::chrono::milliseconds kLongestPoll{60'000};
constexpr size_t kCopyPieceBytes = size_t{128} << 10;
constexpr const char* kNoFile = "/dev/null/none";  // instead of ~/.pgpass and ~/.postgresql/*: nothing of the account's leaks in

struct ResultFree {
    void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ResultFree>;

std::string first_line(std::string_view text) {
    while (text.ends_with('\n') || text.ends_with(' ')) text.remove_suffix(1);
    std::string line;
    for (const char c : text) line += c == '\n' || c == '\t' ? ' ' : c;
    return line;
}

// libpq has the code of a failed connection only in its text: 'FATAL:  28P01: password authentication failed …'.
struct ConnectError {
    std::string sqlstate;
    std::string words;
};
ConnectError parse_connect_error(std::string text) {
    const auto is_code = [](std::string_view code) {
        return std::ranges::all_of(code, [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
    };
    if (const auto location = text.find("\nLOCATION:"); location != std::string::npos) text.resize(location);
    for (size_t at = text.find(":  "); at != std::string::npos && at + 9 < text.size(); at = text.find(":  ", at + 1)) {
        const auto code = text.substr(at + 3, 5);
        if (is_code(code) && text[at + 8] == ':') return {code, first_line(std::string_view(text).substr(at + 10))};
    }
    return {"", first_line(text)};
}

std::string field(const PGresult* result, int code) {
    const char* value = PQresultErrorField(result, code);
    return value ? value : "";
}

// Without DETAIL, which repeats the row.
std::string words_of(const PGresult* result) {
    std::string words = first_line(field(result, PG_DIAG_MESSAGE_PRIMARY));
    if (words.empty()) words = first_line(PQresultErrorMessage(result));
    if (const auto column = field(result, PG_DIAG_COLUMN_NAME); !column.empty() && words.find('"' + column + '"') == std::string::npos)
        words += " (column \"" + column + "\")";
    return words;
}

void collect(const PGresult* result, DatabaseRows& into) {
    into.rows.clear();
    for (int row = 0; row < PQntuples(result); row++) {
        auto& values = into.rows.emplace_back();
        for (int column = 0; column < PQnfields(result); column++) {
            if (PQgetisnull(result, row, column)) values.emplace_back(std::nullopt);
            else values.emplace_back(std::string(PQgetvalue(result, row, column), static_cast<size_t>(PQgetlength(result, row, column))));
        }
    }
}

}  // namespace

DatabaseConnection::DatabaseConnection(const DatabaseTarget& target, const StopSignal& stop, std::chrono::seconds silence)
    : stop_(stop), silence_(silence), name_(target.name), hidden_(target.hidden) {}

DatabaseConnection::~DatabaseConnection() {
    if (connection_) PQfinish(connection_);
}

DatabaseResult<std::unique_ptr<DatabaseConnection>> DatabaseConnection::open(const DatabaseTarget& target, const StopSignal& stop,
                                                                             std::chrono::seconds silence, Deadline deadline) {
    std::unique_ptr<DatabaseConnection> made(new DatabaseConnection(target, stop, silence));
    made->give_up_at(deadline);
    auto connected = made->connect(target.keywords);
    if (!connected) return failed(std::move(connected.error()));
    made->give_up_at(Deadline::max());
    return made;
}

DatabaseFailure DatabaseConnection::lost(const std::string& why) const {
    return {DatabaseFailure::Kind::connection, "", "PostgreSQL at " + name_ + ": " + hidden_.hide(why), 0};
}

DatabaseResult<void> DatabaseConnection::connect(std::map<std::string, std::string> all) {
    all.erase("connect_timeout");  // ours counts
    all.try_emplace("application_name", "kafka-fetcher");
    all.try_emplace("port", "5432");
    all.try_emplace("sslmode", "prefer");
    for (const char* file : {"passfile", "sslcert", "sslkey", "sslcrl"}) all[file] = kNoFile;
    all.try_emplace("sslrootcert", kNoFile);
    all["gssencmode"] = "disable";
    all["client_encoding"] = "UTF8";
    all["keepalives_idle"] = "30";
    all["keepalives_interval"] = "10";
    all["keepalives_count"] = "3";
    std::vector<const char*> names, values;
    for (const auto& [name, value] : all) names.push_back(name.c_str()), values.push_back(value.c_str());
    names.push_back(nullptr), values.push_back(nullptr);

    connection_ = PQconnectStartParams(names.data(), values.data(), 0);
    if (!connection_) return failed(lost("out of memory"));
    PQsetErrorVerbosity(connection_, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(connection_, [](void*, const PGresult*) {}, nullptr);
    for (auto state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK; state = PQconnectPoll(connection_)) {
        if (state == PGRES_POLLING_FAILED || PQstatus(connection_) == CONNECTION_BAD) {
            const auto error = parse_connect_error(PQerrorMessage(connection_));
            auto failure = lost(error.words);
            failure.kind = kind_of_connect_error(error.sqlstate, error.words);
            failure.sqlstate = error.sqlstate;
            if (const auto remedy = remedy_for(error.sqlstate); !remedy.empty()) failure.words += "; " + remedy;
            return failed(std::move(failure));
        }
        if (auto ready = wait(state == PGRES_POLLING_READING ? POLLIN : POLLOUT, last_); !ready) return ready;
    }
    // Another address of the name may be the primary's. Before PostgreSQL 14 only the first row shows it.
    for (const char* parameter : {"in_hot_standby", "default_transaction_read_only"})
        if (const char* status = PQparameterStatus(connection_, parameter); status && std::string_view(status) == "on")
            return failed(lost("it is a standby, or read-only, and takes no rows"));
    if (PQsetnonblocking(connection_, 1) != 0) return failed(lost(first_line(PQerrorMessage(connection_))));
    return {};
}

DatabaseResult<void> DatabaseConnection::wait(short events, Deadline deadline) {
    for (;;) {
        if (stop_.stopped()) return failed({DatabaseFailure::Kind::stopped, "", "stopped", 0});
        auto left = std::chrono::ceil<std::chrono::milliseconds>(std::min(deadline, last_) - steady_clock::now());
        if (left.count() <= 0) {
            auto late = lost("no answer; the connection was given up");
            late.timed_out = true;
            return failed(std::move(late));
        }
        pollfd waits[2] = {{PQsocket(connection_), events, 0}, {stop_.fd(), POLLIN, 0}};
        if (stop_.must_be_polled()) left = std::min(left, kFlagLook);
        const int ready = ::poll(waits, 2, static_cast<int>(std::min(left, kLongestPoll).count()));
        if (ready < 0 && errno != EINTR) return failed(lost(std::strerror(errno)));
        if (ready > 0 && waits[0].revents != 0) return {};
    }
}

// Sends what libpq holds back. Reads meanwhile: a server that cannot get rid of its answer does not read either.
DatabaseResult<void> DatabaseConnection::flush() {
    for (;;) {
        const int left = PQflush(connection_);
        if (left == 0) return {};
        if (left < 0) return failed(lost(first_line(PQerrorMessage(connection_))));
        if (auto ready = wait(POLLIN | POLLOUT, steady_clock::now() + silence_); !ready) return ready;
        if (PQconsumeInput(connection_) == 0) return failed(lost(first_line(PQerrorMessage(connection_))));
    }
}

DatabaseResult<void> DatabaseConnection::send_copy(const std::vector<std::string_view>& pieces) {
    for (auto piece : pieces) {
        while (!piece.empty()) {
            const auto part = piece.substr(0, kCopyPieceBytes);
            const int taken = PQputCopyData(connection_, part.data(), static_cast<int>(part.size()));
            if (taken < 0) return failed(lost(first_line(PQerrorMessage(connection_))));
            if (taken > 0) piece.remove_prefix(part.size());
            if (part.size() == kCopyPieceBytes || taken == 0)
                if (auto sent = flush(); !sent) return sent;
        }
    }
    int ended = 0;
    while ((ended = PQputCopyEnd(connection_, nullptr)) == 0)
        if (auto sent = flush(); !sent) return sent;
    if (ended < 0) return failed(lost(first_line(PQerrorMessage(connection_))));
    return flush();
}

DatabaseResult<pg_result*> DatabaseConnection::next_result() {
    while (PQisBusy(connection_)) {
        if (auto ready = wait(POLLIN, steady_clock::now() + silence_); !ready) return failed(std::move(ready.error()));
        if (PQconsumeInput(connection_) == 0) return failed(lost(first_line(PQerrorMessage(connection_))));
    }
    return PQgetResult(connection_);
}

DatabaseResult<DatabaseRows> DatabaseConnection::run(const std::string& sql, const std::vector<std::string_view>& copy) {
    if (PQsendQuery(connection_, sql.c_str()) == 0) return failed(lost(first_line(PQerrorMessage(connection_))));
    if (auto sent = flush(); !sent) return failed(std::move(sent.error()));
    DatabaseRows rows;
    std::optional<DatabaseFailure> failure;
    for (int statement = 0;; statement++) {
        auto next = next_result();
        if (!next) return failed(std::move(next.error()));
        if (!*next) break;
        const ResultPtr result(*next);
        switch (PQresultStatus(result.get())) {
            case PGRES_COPY_IN:
                if (auto sent = send_copy(copy); !sent) return failed(std::move(sent.error()));
                statement--;  // its end is the statement's result
                break;
            case PGRES_TUPLES_OK:
                collect(result.get(), rows);
                break;
            case PGRES_COMMAND_OK:
            case PGRES_EMPTY_QUERY:
                break;
            default:
                if (failure) break;
                const auto sqlstate = field(result.get(), PG_DIAG_SQLSTATE);
                failure = DatabaseFailure{kind_of_statement_error(sqlstate), sqlstate, hidden_.hide(words_of(result.get())), statement, sqlstate == "57014"};
        }
    }
    if (PQstatus(connection_) == CONNECTION_BAD && !failure) failure = lost("the connection was closed");
    if (!failure) return rows;
    if (failure->kind == DatabaseFailure::Kind::connection && !failure->words.starts_with("PostgreSQL at")) failure->words = lost(failure->words).words;
    return failed(std::move(*failure));
}

}  // namespace fetcher
