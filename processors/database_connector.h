// DatabaseConnector: makes connections to the database of a db_dsn. References are resolved anew each time, so a changed password counts at
// once; the host's addresses are judged before one of them is connected to.
// Thread: any; immutable
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "processors/database_connection.h"
#include "processors/database_dsn.h"
#include "processors/secrets.h"

namespace fetcher {

class DatabaseConnector {
  public:
    DatabaseConnector(std::string dsn, std::string secrets_dir, std::string certificates_dir);

    // The first place counts that lets in and is no standby. Each, and each of its host's addresses, has its share of the time: connect_timeout, at most 8 s. stop outlives the connection; silence: see
    // DatabaseConnection.
    DatabaseResult<std::unique_ptr<DatabaseConnection>> connect(const StopSignal& stop, std::chrono::seconds silence) const;

  private:
    Result<DatabaseTarget> target() const;
    DatabaseResult<std::unique_ptr<DatabaseConnection>> connect_to(DatabaseTarget whom, const DatabaseDsn::Place& place, const StopSignal& stop,
                                                                   std::chrono::seconds silence, std::chrono::steady_clock::time_point deadline) const;

    const std::string dsn_;
    const SecretSource secrets_;
    const std::string certificates_dir_;
};

}  // namespace fetcher
