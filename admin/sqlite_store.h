// SqliteStore: the ConfigStore of a single process, one file, no set-up. Durable when a call returns (WAL, synchronous=FULL).
// Thread: any; calls take turns
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "admin/config_store.h"
#include "engine/result.h"

namespace SQLite {
class Database;
}

namespace fetcher {

class SqliteStore : public ConfigStore {
  public:
    // Opens or makes the file (mode 0600) and brings its tables to this build's version. Refuses one of a newer build.
    static Result<std::unique_ptr<SqliteStore>> open(const std::string& path);
    ~SqliteStore() override;

    Answer<std::vector<StoredConsumer>> list() override;
    Answer<std::optional<StoredConsumer>> find(const std::string& consumer_id) override;
    Answer<StoredConsumer> create(const StoredConsumer& consumer) override;
    Answer<StoredConsumer> replace(const StoredConsumer& next) override;
    Answer<void> remove(const std::string& consumer_id, std::optional<int64_t> seen = std::nullopt) override;
    Answer<std::vector<StoredConsumer>> revisions(const std::string& consumer_id, int64_t before, size_t limit) override;
    Answer<std::optional<StoredConsumer>> revision(const std::string& consumer_id, int64_t revision) override;
    Answer<std::set<std::string>> replayed(const std::string& consumer_id, const std::vector<std::string>& letters) override;
    Answer<void> mark_replayed(const std::string& consumer_id, const std::string& letter, const std::string& at) override;
    std::unique_ptr<StoreWatch> watch(std::function<void()>) override { return nullptr; }
    Answer<void> ping() override;

  private:
    explicit SqliteStore(std::unique_ptr<SQLite::Database> database);
    void migrate();
    void write_revision(const StoredConsumer& consumer);
    tl::unexpected<StoreError> refusal(const std::string& consumer_id);
    template <class T, class Work>
    Answer<T> guarded(Work work);

    std::mutex mutex_;
    std::unique_ptr<SQLite::Database> database_;
};

}  // namespace fetcher
