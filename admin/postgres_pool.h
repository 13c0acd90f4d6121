// PostgresPool: a few connections for many callers, none of whom waits long for a database that is away.
//
// After a failure (no answer within `read` is none, the server may be slow) nobody is let through for a second but one caller at a time, who tries it; the others are told at once what he found.
// So a frozen or unreachable server costs one thread at a time, whatever the number of requests.
// Thread: any
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "admin/postgres_connection.h"

namespace fetcher {

class PostgresPool {
  public:
    using Rows = PostgresConnection::Rows;
    using Answer = PostgresConnection::Answer<Rows>;

    struct Limits {
        std::chrono::milliseconds call{3'000};       // for a call altogether: connection, statement, answer
        std::chrono::milliseconds read{800};         // the same for read(): whoever asks has his answer within a second
        std::chrono::milliseconds statement{2'500};  // after which the server gives it up by itself
        std::chrono::milliseconds pause{1'000};      // between attempts while it is away
        size_t connections = 4;
    };

    explicit PostgresPool(PostgresUrl url);
    PostgresPool(PostgresUrl url, Limits limits);
    ~PostgresPool();

    // Runs one statement. One that only reads is repeated once if the connection broke meanwhile. read_much() takes the time of a write.
    Answer read(const std::string& statement, const std::vector<std::string>& parameters = {});
    Answer read_much(const std::string& statement);
    Answer write(const std::string& statement, const std::vector<std::string>& parameters);

  private:
    using Time = PostgresConnection::Time;
    using Connection = std::unique_ptr<PostgresConnection>;

    Answer read_within(std::chrono::milliseconds limit, const std::string& statement, const std::vector<std::string>& parameters);
    Answer run(const std::string& statement, const std::vector<std::string>& parameters, Time deadline, bool patient);
    PostgresConnection::Answer<Connection> take(Time deadline, bool patient);
    void give_back(Connection connection);
    void give_up(const std::string& reason, bool away);

    const PostgresUrl url_;
    const Limits limits_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Connection> idle_;
    size_t in_use_ = 0;
    bool away_ = false;     // the last attempt failed
    bool trying_ = false;   // while away_: somebody is at it
    Time next_try_{};       // while away_
    std::string why_away_;
};

}  // namespace fetcher
