// PostgresListener: hears of changes that any process has made, on a connection and a thread of its own. A connection that breaks is made
// again, and that it is back counts as a change: what was announced meanwhile has been missed.
// Thread: any; on_change is called on its own
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "admin/config_store.h"
#include "admin/postgres_connection.h"

namespace fetcher {

class PostgresListener : public StoreWatch {
  public:
    PostgresListener(PostgresUrl url, std::function<void()> on_change);
    ~PostgresListener() override;
    PostgresListener(const PostgresListener&) = delete;
    PostgresListener& operator=(const PostgresListener&) = delete;

  private:
    void run();
    void listen_on(PostgresConnection& connection);
    bool stopping(std::chrono::milliseconds wait);

    const PostgresUrl url_;
    const std::function<void()> on_change_;
    const int wake_fd_;  // readable: the end
    std::thread thread_;
};

}  // namespace fetcher
