// PostgresHeartbeats: reports of the processes in a table of the store's database. The table is unlogged: after a crash of the database it is
// empty, and full again half a second later.
// Thread: one
#pragma once

#include "admin/postgres_pool.h"
#include "admin/replica_board.h"

namespace fetcher {

class PostgresHeartbeats : public HeartbeatStore {
  public:
    // The tables must be there: PostgresStore::open() makes them.
    explicit PostgresHeartbeats(PostgresUrl url);

    tl::expected<std::vector<Heard>, StoreError> beat(const Beat& beat) override;
    void leave(const std::string& instance_id) override;

  private:
    PostgresPool pool_;
    std::chrono::steady_clock::time_point next_clearing_{};
};

}  // namespace fetcher
