// DatabaseConnector: makes connections to the database of a db_dsn. References are resolved anew each time, so a changed password counts at
// once; the host's addresses are judged before one of them is connected to.
// Thread: any; immutable
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "processors/database_connection.h"
#include "processors/secrets.h"

namespace fetcher {

class DatabaseConnector {
  public:
    DatabaseConnector(std::string dsn, std::string secrets_dir, std::string certificates_dir);

    // The first place counts that lets in and takes writes. Each, and each address of its host, has its share of the time: connect_timeout, at
    // most 8 s. stop outlives the connection; silence: see DatabaseConnection.
    DatabaseResult<std::unique_ptr<DatabaseConnection>> connect(const StopSignal& stop, std::chrono::seconds silence) const;

  private:
    Result<std::vector<DatabaseTarget>> targets() const;  // one for each place; at least one

    const std::string dsn_;
    const SecretSource secrets_;
    const std::string certificates_dir_;
};

}  // namespace fetcher
