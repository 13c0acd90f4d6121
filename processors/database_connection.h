// DatabaseConnection: one connection to PostgreSQL. Every wait has a deadline and ends at once when told to stop, so a server that hangs
// never holds a thread. After any failure of kind connection or stopped it is broken for good: make a new one.
// PG* variables of the environment are no concern here: main has removed them.
// Thread: one owner; the StopSignal any
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/doorbell.h"
#include "processors/database_failure.h"

struct pg_conn;
struct pg_result;

namespace fetcher {

// Tells connections to give up whatever they wait for. Thread: any
class StopSignal {
  public:
    void stop() {
        stopped_ = true;
        bell_.ring();
    }
    bool stopped() const { return stopped_; }
    int fd() const { return bell_.fd(); }  // readable from then on

  private:
    std::atomic<bool> stopped_{false};
    Doorbell bell_;
};

struct DatabaseRows {
    std::vector<std::vector<std::optional<std::string>>> rows;
};

class DatabaseConnection {
  public:
    // keywords: libpq's, with every reference resolved. host: for people. stop outlives the connection. silence: how long the server may
    // let us wait before the connection is given up.
    static DatabaseResult<std::unique_ptr<DatabaseConnection>> open(std::map<std::string, std::string> keywords, const std::string& host,
                                                                    const StopSignal& stop, std::chrono::seconds silence);
    ~DatabaseConnection();
    DatabaseConnection(const DatabaseConnection&) = delete;
    DatabaseConnection& operator=(const DatabaseConnection&) = delete;

    // Statements separated by semicolons, as one message; the rows of the last one that has some. A COPY … FROM STDIN among them gets
    // `copy`, in pieces. The first that fails ends it, and the transaction must be rolled back.
    DatabaseResult<DatabaseRows> run(const std::string& sql, const std::vector<std::string_view>& copy = {});

    // "host:port/dbname", for people.
    const std::string& name() const { return name_; }

  private:
    using Deadline = std::chrono::steady_clock::time_point;

    DatabaseConnection(std::map<std::string, std::string> keywords, const std::string& host, const StopSignal& stop,
                       std::chrono::seconds silence);
    DatabaseResult<void> connect();
    DatabaseResult<void> wait(short events, Deadline deadline);
    DatabaseResult<void> flush();
    DatabaseResult<void> send_copy(const std::vector<std::string_view>& pieces);
    DatabaseResult<pg_result*> next_result();
    DatabaseFailure lost(std::string why) const;

    const StopSignal& stop_;
    const std::chrono::seconds silence_;
    std::map<std::string, std::string> keywords_;
    std::string name_;
    pg_conn* connection_ = nullptr;
};

}  // namespace fetcher
