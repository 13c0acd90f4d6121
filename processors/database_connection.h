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
#include "processors/secrets.h"

struct pg_conn;
struct pg_result;

namespace fetcher {

// Tells connections to give up whatever they wait for. Thread: any, but for follow()
class StopSignal {
  public:
    // Stops too as soon as the flag, which nobody rings a bell for, is set; nullptr: follows none. Thread: of the connections
    void follow(const std::atomic<bool>* flag) { followed_ = flag; }
    bool must_be_polled() const { return followed_ != nullptr; }
    void stop() {
        stopped_ = true;
        bell_.ring();
    }
    bool stopped() const { return stopped_ || (followed_ && followed_->load()); }
    int fd() const { return bell_.fd(); }  // readable from then on

  private:
    std::atomic<bool> stopped_{false};
    const std::atomic<bool>* followed_ = nullptr;
    Doorbell bell_;
};

struct DatabaseRows {
    std::vector<std::vector<std::optional<std::string>>> rows;
};

// Whom to connect to.
struct DatabaseTarget {
    std::map<std::string, std::string> keywords;  // libpq's, with every reference resolved; hostaddr among them
    std::string name;                             // "host:port/dbname", for people
    HiddenValues hidden;                          // what an error must not show
};

class DatabaseConnection {
  public:
    using Deadline = std::chrono::steady_clock::time_point;

    // stop outlives the connection. silence: how long the server may let us wait before the connection is given up. deadline: of connecting.
    static DatabaseResult<std::unique_ptr<DatabaseConnection>> open(const DatabaseTarget& target, const StopSignal& stop,
                                                                    std::chrono::seconds silence, Deadline deadline);
    ~DatabaseConnection();
    DatabaseConnection(const DatabaseConnection&) = delete;
    DatabaseConnection& operator=(const DatabaseConnection&) = delete;

    // Statements separated by semicolons, as one message; the rows of the last one that has some. A COPY … FROM STDIN among them gets
    // `copy`, in pieces. The first that fails ends it, and the transaction must be rolled back.
    DatabaseResult<DatabaseRows> run(const std::string& sql, const std::vector<std::string_view>& copy = {});

    // Whatever is waited for, from now on, is given up then.
    void give_up_at(Deadline deadline) { last_ = deadline; }

  private:
    DatabaseConnection(const DatabaseTarget& target, const StopSignal& stop, std::chrono::seconds silence);
    DatabaseResult<void> connect(std::map<std::string, std::string> keywords);
    DatabaseResult<void> wait(short events, Deadline deadline);
    DatabaseResult<void> flush();
    DatabaseResult<void> send_copy(const std::vector<std::string_view>& pieces);
    DatabaseResult<pg_result*> next_result();
    DatabaseFailure lost(const std::string& why) const;

    const StopSignal& stop_;
    const std::chrono::seconds silence_;
    const std::string name_;
    const HiddenValues hidden_;
    Deadline last_ = Deadline::max();
    pg_conn* connection_ = nullptr;
};

}  // namespace fetcher
