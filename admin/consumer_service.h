// ConsumerService: what can be done with consumers, without HTTP. It writes what is wanted to the store, has the reconciler follow, and
// waits for the effect here, but never longer than wait_limit.
//
// Writes take turns in this process, so that two cannot claim the same file at once; writers elsewhere are caught by the store's revisions.
// Thread: any
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "admin/config_store.h"
#include "admin/consumer_config.h"
#include "admin/reconciler.h"

namespace fetcher {

// A consumer with how it is doing.
struct ConsumerView {
    StoredConsumer stored;
    ConsumerObservation seen;
    ConsumerHealth health;
    bool settled = true;  // what was asked for has had its effect; false: it is still on its way
};

struct ConsumerFilter {
    std::string status, topic, group;  // empty: any
    size_t limit = 100;
    int64_t after = 0;  // a sequence
};

struct ConsumerPage {
    std::vector<ConsumerView> items;
    std::optional<int64_t> next;  // the `after` of the next page
};

class ConsumerService {
  public:
    ConsumerService(ConfigStore& store, Reconciler& reconciler, const ConsumerConfig& config,
                    std::chrono::milliseconds wait_limit = std::chrono::seconds(10))
        : store_(store), reconciler_(reconciler), config_(config), wait_limit_(wait_limit) {}

    Answer<ConsumerView> create(const nlohmann::json& body);
    Answer<ConsumerView> get(const std::string& consumer_id);
    Answer<ConsumerPage> list(const ConsumerFilter& filter);
    Answer<ConsumerView> update(const std::string& consumer_id, const nlohmann::json& body);
    Answer<ConsumerView> start(const std::string& consumer_id);
    Answer<ConsumerView> stop(const std::string& consumer_id);
    Answer<void> remove(const std::string& consumer_id);

    // The brokers of all stored consumers, as host:port.
    Answer<std::vector<std::string>> brokers();
    // Whether requests can be served: the store answers, and every consumer has been looked at once.
    Answer<void> ready();
    const ConsumerConfig& config() const { return config_; }

  private:
    Answer<StoredConsumer> load(const std::string& consumer_id);
    Answer<void> check_claims(const StoredConsumer& consumer);
    Answer<StoredConsumer> write(const std::string& consumer_id, const nlohmann::json* body, std::optional<Desired> desired);
    ConsumerView view(StoredConsumer consumer) const;
    ConsumerView settled_view(StoredConsumer consumer);

    ConfigStore& store_;
    Reconciler& reconciler_;
    const ConsumerConfig& config_;
    const std::chrono::milliseconds wait_limit_;
    std::atomic<int> waiting_{0};
    std::mutex write_mutex_;
};

}  // namespace fetcher
