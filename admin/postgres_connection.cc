#include "admin/postgres_connection.h"

#include <libpq-fe.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "engine/host_resolver.h"

namespace fetcher {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Time = PostgresConnection::Time;

constexpr const char* kNoFile = "/nonexistent";  // libpq's defaults would be files in the user's home

struct ResultCloser {
    void operator()(PGresult* result) const { PQclear(result); }
};
using Owned = std::unique_ptr<PGresult, ResultCloser>;

// libpq's message in one line.
std::string one_line(const char* message) {
    std::string text = message ? message : "";
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    std::replace(text.begin(), text.end(), '\n', ' ');
    std::replace(text.begin(), text.end(), '\t', ' ');
    return text;
}

tl::unexpected<PostgresFailure> failure(PostgresFailure::Kind kind, std::string reason) {
    return tl::unexpected<PostgresFailure>(PostgresFailure{kind, std::move(reason)});
}

int poll_timeout(Time deadline) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
    return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
}

enum class Ready { socket, wake, late };

Ready wait_on(int fd, bool for_writing, int wake_fd, Time deadline) {
    for (;;) {
        std::array<pollfd, 2> polled = {
            {{fd, static_cast<short>(for_writing ? POLLIN | POLLOUT : POLLIN), 0}, {wake_fd, POLLIN, 0}}};
        const int count = ::poll(polled.data(), polled.size(), poll_timeout(deadline));
        if (count > 0) return polled[1].revents ? Ready::wake : Ready::socket;
        if (count < 0 && errno != EINTR) return Ready::late;
        if (steady_clock::now() >= deadline) return Ready::late;
    }
}

PostgresConnection::Rows rows_of(const PGresult* result) {
    PostgresConnection::Rows rows(static_cast<size_t>(PQntuples(result)));
    for (int row = 0; row < PQntuples(result); ++row)
        for (int column = 0; column < PQnfields(result); ++column)
            rows[static_cast<size_t>(row)].emplace_back(PQgetvalue(result, row, column),
                                                        static_cast<size_t>(PQgetlength(result, row, column)));
    return rows;
}

// The server told why, and the same question would have the same answer.
bool is_hopeless(const std::string& reason) {
    return reason.find("authentication failed") != std::string::npos || reason.find("does not exist") != std::string::npos ||
           reason.find("no pg_hba.conf entry") != std::string::npos;
}

}  // namespace

void forget_postgres_environment() {
    std::vector<std::string> names;
    for (char** entry = environ; entry && *entry; ++entry) {
        const std::string_view text = *entry;
        if (text.starts_with("PG")) names.emplace_back(text.substr(0, text.find('=')));
    }
    for (const auto& name : names) unsetenv(name.c_str());
}

void PostgresConnection::Closer::operator()(pg_conn* connection) const { PQfinish(connection); }
PostgresConnection::~PostgresConnection() = default;

PostgresConnection::Answer<std::unique_ptr<PostgresConnection>> PostgresConnection::connect(const PostgresUrl& url,
                                                                                            milliseconds statement_timeout, Time deadline) {
    const auto limits = "SET statement_timeout = " + std::to_string(statement_timeout.count()) +
                        "; SET idle_in_transaction_session_timeout = 30000; SET default_transaction_isolation = 'read committed'";
    PostgresFailure failed{PostgresFailure::Kind::unreachable, "", true};
    auto left = static_cast<int64_t>(url.places.size());
    for (const auto& place : url.places) {
        const auto until = share_of(deadline, left--);
        auto made = connect_to(url, place, until);
        if (made) {
            const auto set = (*made)->run_script(limits, until);
            if (set) return made;
            made = tl::unexpected<PostgresFailure>(set.error());
        }
        const auto& reason = made.error().reason;
        failed.reason += (failed.reason.empty() ? "" : "; ") + reason;
        failed.hopeless = failed.hopeless && is_hopeless(reason);
    }
    return tl::unexpected<PostgresFailure>(std::move(failed));
}

PostgresConnection::Answer<std::unique_ptr<PostgresConnection>> PostgresConnection::connect_to(const PostgresUrl& url,
                                                                                               const PostgresUrl::Place& place, Time deadline) {
    const auto addresses = resolve_host(place.host, deadline);
    if (!addresses) return failure(PostgresFailure::Kind::unreachable, addresses.error().reason);
    auto left = static_cast<int64_t>(addresses->size());
    Answer<std::unique_ptr<PostgresConnection>> made;
    for (const auto& address : *addresses) {
        made = connect_to(url, place, address, share_of(deadline, left--));
        if (made) break;
    }
    return made;
}

PostgresConnection::Answer<std::unique_ptr<PostgresConnection>> PostgresConnection::connect_to(const PostgresUrl& url,
                                                                                               const PostgresUrl::Place& place,
                                                                                               const std::string& address, Time deadline) {
    const auto port = std::to_string(place.port);
    std::vector<std::pair<const char*, const char*>> options = {
        {"host", place.host.c_str()},  // what a certificate is checked against
        {"hostaddr", address.c_str()},
        {"port", port.c_str()},
        {"user", url.user.c_str()},
        {"dbname", url.database.c_str()},
        {"sslmode", url.sslmode.c_str()},
        {"application_name", url.application_name.c_str()},
        {"client_encoding", "UTF8"},
        {"gssencmode", "disable"},
        {"passfile", kNoFile},
        {"sslcert", kNoFile},
        {"sslkey", kNoFile},
        {"sslcrl", kNoFile},
        {"sslrootcert", url.sslrootcert.empty() ? kNoFile : url.sslrootcert.c_str()},
        {"keepalives_idle", "10"},
        {"keepalives_interval", "3"},
        {"keepalives_count", "3"},
        {"tcp_user_timeout", "10000"},
    };
    if (!url.password.empty()) options.emplace_back("password", url.password.c_str());
    std::vector<const char*> keywords, values;
    for (const auto& [keyword, value] : options) {
        keywords.push_back(keyword);
        values.push_back(value);
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);

    std::unique_ptr<PostgresConnection> made(new PostgresConnection(PQconnectStartParams(keywords.data(), values.data(), 0)));
    if (!made->connection_) return failure(PostgresFailure::Kind::unreachable, "out of memory");
    // Its details and context may quote what was sent: the message alone.
    PQsetErrorVerbosity(made->connection_.get(), PQERRORS_TERSE);
    if (const auto done = made->finish_connecting(deadline); !done) return tl::unexpected<PostgresFailure>(done.error());
    return made;
}

PostgresConnection::Answer<void> PostgresConnection::finish_connecting(Time deadline) {
    auto* const connection = connection_.get();
    if (PQstatus(connection) == CONNECTION_BAD) return broken();
    for (bool writing = true;;) {
        if (wait_on(PQsocket(connection), writing, -1, deadline) == Ready::late)
            return failure(PostgresFailure::Kind::unreachable, std::string("no answer from the server at ") + PQhost(connection) + " port " +
                                                                   PQport(connection) + " in time");
        const auto state = PQconnectPoll(connection);
        if (state == PGRES_POLLING_OK) break;
        if (state == PGRES_POLLING_FAILED) return broken();
        writing = state == PGRES_POLLING_WRITING;
    }
    // Nothing can be changed there, and what it tells may be old: whoever reads it would stop what it does not know yet. Before PostgreSQL 14 it does not say so.
    for (const char* parameter : {"in_hot_standby", "default_transaction_read_only"})
        if (const char* status = PQparameterStatus(connection, parameter); status && std::string_view(status) == "on")
            return failure(PostgresFailure::Kind::unreachable, std::string("the server at ") + PQhostaddr(connection) + " port " + PQport(connection) +
                                                                   " is a standby, or takes no writes; the primary is needed");
    PQsetnonblocking(connection, 1);
    // Notices would be printed to stderr.
    PQsetNoticeReceiver(connection, [](void*, const PGresult*) {}, nullptr);
    return {};
}

tl::unexpected<PostgresFailure> PostgresConnection::broken() {
    broken_ = true;
    auto reason = one_line(PQerrorMessage(connection_.get()));
    return failure(PostgresFailure::Kind::unreachable, reason.empty() ? "the connection to PostgreSQL was lost" : std::move(reason));
}

PostgresConnection::Answer<void> PostgresConnection::wait(bool for_writing, Time deadline) {
    if (wait_on(PQsocket(connection_.get()), for_writing, -1, deadline) == Ready::socket) return {};
    broken_ = true;
    return failure(PostgresFailure::Kind::unreachable, "PostgreSQL does not answer in time");
}

PostgresConnection::Answer<void> PostgresConnection::flush(Time deadline) {
    for (;;) {
        const int left = PQflush(connection_.get());
        if (left == 0) return {};
        if (left < 0) return broken();
        if (const auto ready = wait(true, deadline); !ready) return ready;
        // The server may have stopped reading because it wants to be read.
        if (!PQconsumeInput(connection_.get())) return broken();
    }
}

// Takes every result of what has been sent; the last one counts, or the first error.
PostgresConnection::Answer<PostgresConnection::Rows> PostgresConnection::finish(Time deadline) {
    auto* const connection = connection_.get();
    if (const auto sent = flush(deadline); !sent) return tl::unexpected<PostgresFailure>(sent.error());
    Rows rows;
    std::string refusal;
    for (;;) {
        while (PQisBusy(connection)) {
            if (const auto ready = wait(false, deadline); !ready) return tl::unexpected<PostgresFailure>(ready.error());
            if (!PQconsumeInput(connection)) return broken();
        }
        const Owned result(PQgetResult(connection));
        if (!result) break;
        const auto status = PQresultStatus(result.get());
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY) {
            if (refusal.empty()) refusal = one_line(PQresultErrorMessage(result.get()));
            continue;
        }
        rows = rows_of(result.get());
    }
    if (PQstatus(connection) == CONNECTION_BAD) return broken();
    if (!refusal.empty()) return failure(PostgresFailure::Kind::refused, std::move(refusal));
    return rows;
}

PostgresConnection::Answer<PostgresConnection::Rows> PostgresConnection::run(const std::string& statement,
                                                                             const std::vector<std::string>& parameters, Time deadline) {
    std::vector<const char*> values;
    for (const auto& parameter : parameters) values.push_back(parameter.c_str());
    const auto count = static_cast<int>(values.size());
    if (!PQsendQueryParams(connection_.get(), statement.c_str(), count, nullptr, values.data(), nullptr, nullptr, 0)) return broken();
    return finish(deadline);
}

PostgresConnection::Answer<void> PostgresConnection::run_script(const std::string& statements, Time deadline) {
    if (!PQsendQuery(connection_.get(), statements.c_str())) return broken();
    return finish(deadline).map([](const Rows&) {});
}

bool PostgresConnection::take_notifications() {
    bool any = false;
    while (auto* notification = PQnotifies(connection_.get())) {
        any = true;
        PQfreemem(notification);
    }
    return any;
}

PostgresConnection::Answer<bool> PostgresConnection::wait_for_notification(int wake_fd, Time deadline) {
    for (;;) {
        if (take_notifications()) return true;
        if (wait_on(PQsocket(connection_.get()), false, wake_fd, deadline) != Ready::socket) return false;
        if (!PQconsumeInput(connection_.get())) return broken();
    }
}

bool PostgresConnection::alive() {
    if (broken_ || PQstatus(connection_.get()) != CONNECTION_OK) return false;
    // Nothing is expected while nothing is asked: what can be read is a farewell or the end of the stream.
    if (wait_on(PQsocket(connection_.get()), false, -1, steady_clock::now()) == Ready::late) return true;
    if (!PQconsumeInput(connection_.get())) return false;
    while (!PQisBusy(connection_.get()))
        if (const Owned result(PQgetResult(connection_.get())); !result) break;
    return PQstatus(connection_.get()) == CONNECTION_OK &&
           wait_on(PQsocket(connection_.get()), false, -1, steady_clock::now()) == Ready::late;
}

}  // namespace fetcher
