#include "admin/postgres_pool.h"

namespace fetcher {

using std::chrono::steady_clock;

PostgresPool::PostgresPool(PostgresUrl url) : PostgresPool(std::move(url), Limits{}) {}
PostgresPool::PostgresPool(PostgresUrl url, Limits limits) : url_(std::move(url)), limits_(limits) {}
PostgresPool::~PostgresPool() = default;

PostgresPool::Answer PostgresPool::read(const std::string& statement, const std::vector<std::string>& parameters) {
    return read_within(limits_.read, statement, parameters);
}

PostgresPool::Answer PostgresPool::read_much(const std::string& statement) { return read_within(limits_.call, statement, {}); }

PostgresPool::Answer PostgresPool::read_within(std::chrono::milliseconds limit, const std::string& statement,
                                               const std::vector<std::string>& parameters) {
    const auto deadline = steady_clock::now() + limit;
    const bool patient = limit >= limits_.call;
    auto answer = run(statement, parameters, deadline, patient);
    const bool lost = !answer && answer.error().kind == PostgresFailure::Kind::unreachable;
    // A restart of the server is over sooner than anybody notices; a timeout has used up the deadline.
    if (lost && steady_clock::now() + limit / 2 < deadline) return run(statement, parameters, deadline, patient);
    return answer;
}

PostgresPool::Answer PostgresPool::write(const std::string& statement, const std::vector<std::string>& parameters) {
    return run(statement, parameters, steady_clock::now() + limits_.call, true);
}

PostgresPool::Answer PostgresPool::run(const std::string& statement, const std::vector<std::string>& parameters, Time deadline, bool patient) {
    auto connection = take(deadline, patient);
    if (!connection) return tl::unexpected<PostgresFailure>(connection.error());
    auto answer = (*connection)->run(statement, parameters, deadline);
    if (!answer && answer.error().kind == PostgresFailure::Kind::unreachable) {
        // One that broke says nothing of the server: it may be back already. One that hung does.
        give_up(answer.error().reason, patient && steady_clock::now() >= deadline);
        answer.error().maybe_done = true;
        return answer;
    }
    // What was refused may be refused because of the server that this connection leads to (read-only, shutting down).
    give_back(answer ? std::move(*connection) : nullptr);
    return answer;
}

PostgresConnection::Answer<PostgresPool::Connection> PostgresPool::take(Time deadline, bool patient) {
    const auto away = [&] {
        return tl::unexpected<PostgresFailure>(PostgresFailure{PostgresFailure::Kind::unreachable, why_away_});
    };
    Connection connection;
    {
        std::unique_lock lock(mutex_);
        const bool free = changed_.wait_until(lock, deadline, [&] { return away_ || in_use_ < limits_.connections; });
        if (away_ && (trying_ || steady_clock::now() < next_try_)) return away();
        if (!free)
            return tl::unexpected<PostgresFailure>(
                PostgresFailure{PostgresFailure::Kind::unreachable, "every connection to PostgreSQL is in use"});
        trying_ = away_;
        ++in_use_;
        if (!idle_.empty()) {
            connection = std::move(idle_.back());
            idle_.pop_back();
        }
    }
    if (connection && connection->alive()) return connection;
    connection.reset();
    auto made = PostgresConnection::connect(url_, limits_.statement, deadline);
    if (!made) give_up(made.error().reason, patient || steady_clock::now() < deadline);
    return made;
}

// nullptr: the server answers, but the connection is of no more use.
void PostgresPool::give_back(Connection connection) {
    {
        std::lock_guard lock(mutex_);
        --in_use_;
        away_ = trying_ = false;
        if (connection) idle_.push_back(std::move(connection));
    }
    changed_.notify_all();
}

// away: the connections beside it are most likely of no more use either. If not, the next caller tries at once.
void PostgresPool::give_up(const std::string& reason, bool away) {
    std::vector<Connection> dropped;
    {
        std::lock_guard lock(mutex_);
        --in_use_;
        trying_ = false;
        if (away) {
            away_ = true;
            why_away_ = reason;
            next_try_ = steady_clock::now() + limits_.pause;
            dropped.swap(idle_);
        }
    }
    changed_.notify_all();
}

}  // namespace fetcher
