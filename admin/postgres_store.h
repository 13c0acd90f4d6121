// PostgresStore: the ConfigStore that several processes share. Every call ends within three seconds, what a person asks within one; while the
// database is away calls fail at once, and it is found again without a restart.
// Thread: any; calls of several threads go side by side
#pragma once

#include <memory>
#include <string>

#include "admin/config_store.h"
#include "admin/postgres_pool.h"
#include "admin/postgres_url.h"
#include "engine/result.h"

namespace fetcher {

class PostgresStore : public ConfigStore {
  public:
    // Waits for the server for up to url.connect_timeout, then brings its tables to this build's version; several processes may do that at
    // once.
    static Result<std::unique_ptr<PostgresStore>> open(const PostgresUrl& url, PostgresPool::Limits limits = {});
    ~PostgresStore() override;

    Answer<std::vector<StoredConsumer>> list() override;
    Answer<std::vector<StoredConsumer>> list_soon() override;
    Answer<std::optional<StoredConsumer>> find(const std::string& consumer_id) override;
    Answer<StoredConsumer> create(const StoredConsumer& consumer) override;
    Answer<StoredConsumer> replace(const StoredConsumer& next) override;
    Answer<void> remove(const std::string& consumer_id, std::optional<int64_t> seen = std::nullopt) override;
    Answer<std::vector<StoredConsumer>> revisions(const std::string& consumer_id, int64_t before, size_t limit) override;
    Answer<std::optional<StoredConsumer>> revision(const std::string& consumer_id, int64_t revision) override;
    Answer<std::set<std::string>> replayed(const std::string& consumer_id, const std::vector<std::string>& letters) override;
    Answer<void> mark_replayed(const std::string& consumer_id, const std::string& letter, const std::string& at) override;
    std::unique_ptr<StoreWatch> watch(std::function<void()> on_change) override;
    Answer<void> ping() override;

  private:
    PostgresStore(const PostgresUrl& url, PostgresPool::Limits limits) : url_(url), pool_(url, limits) {}
    Answer<std::vector<StoredConsumer>> select(const std::string& condition, const std::vector<std::string>& parameters);
    Answer<std::optional<StoredConsumer>> select_one(const std::string& condition, const std::vector<std::string>& parameters);

    const PostgresUrl url_;
    PostgresPool pool_;
};

}  // namespace fetcher
