// PostgresConnection: one connection on which every call has a deadline that this process keeps itself. A dead network or a frozen server
// (whose kernel still acknowledges everything) holds nobody up for longer: libpq is used in its non-blocking mode throughout.
//
// libpq sees a list of keywords and values, never a connection string; what it would add from files of the user is turned off, and what it
// would add from the environment has been removed by forget_postgres_environment().
// Thread: one at a time
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "admin/postgres_url.h"

struct pg_conn;

namespace fetcher {

// Removes PG* from the environment. Called once, before there are threads.
void forget_postgres_environment();

struct PostgresFailure {
    enum class Kind {
        refused,      // the server said no to this statement; nothing of it was done
        unreachable,  // no connection, or it broke or timed out
    };
    Kind kind = Kind::unreachable;
    std::string reason;         // without secrets
    bool hopeless = false;      // trying again will not help: wrong password, no such database
    bool maybe_done = false;    // the statement was sent, and nobody knows whether it was done
};

class PostgresConnection {
  public:
    using Time = std::chrono::steady_clock::time_point;
    using Row = std::vector<std::string>;  // NULL as an empty text
    using Rows = std::vector<Row>;
    template <class T>
    using Answer = tl::expected<T, PostgresFailure>;

    // Each of the URL's places, and each address of one, has its share of the time; the first counts that lets in and takes writes.
    // statement_timeout: after which the server itself gives up a statement; should be less than the deadlines of run().
    static Answer<std::unique_ptr<PostgresConnection>> connect(const PostgresUrl& url, std::chrono::milliseconds statement_timeout,
                                                               Time deadline);
    ~PostgresConnection();
    PostgresConnection(const PostgresConnection&) = delete;
    PostgresConnection& operator=(const PostgresConnection&) = delete;

    // One statement with $1, $2, …
    Answer<Rows> run(const std::string& statement, const std::vector<std::string>& parameters, Time deadline);
    // Several statements without parameters or rows.
    Answer<void> run_script(const std::string& statements, Time deadline);
    // Waits for a notification, or until the deadline, or until wake_fd can be read; true: there was one, or several.
    Answer<bool> wait_for_notification(int wake_fd, Time deadline);

    // False when the server is known to have closed it, also while nobody was looking. No waiting.
    bool alive();

  private:
    struct Closer {
        void operator()(pg_conn* connection) const;
    };

    explicit PostgresConnection(pg_conn* connection) : connection_(connection) {}
    static Answer<std::unique_ptr<PostgresConnection>> connect_to(const PostgresUrl& url, const PostgresUrl::Place& place, Time deadline);
    static Answer<std::unique_ptr<PostgresConnection>> connect_to(const PostgresUrl& url, const PostgresUrl::Place& place,
                                                                  const std::string& address, Time deadline);
    Answer<void> finish_connecting(Time deadline);
    Answer<Rows> finish(Time deadline);
    Answer<void> flush(Time deadline);
    Answer<void> wait(bool for_writing, Time deadline);
    bool take_notifications();
    tl::unexpected<PostgresFailure> broken();

    std::unique_ptr<pg_conn, Closer> connection_;
    bool broken_ = false;
};

}  // namespace fetcher
