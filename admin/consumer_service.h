// ConsumerService: what can be done with consumers, without HTTP. It writes what is wanted to the store, has the reconciler follow, and
// waits for the effect here, but never longer than wait_limit.
//
// A write is based on the revision that was read for it: of two that overlap, here or through another process, one wins and the other is
// refused. Start and stop, which depend on nothing that was read, are repeated instead.
// Thread: any
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "admin/combined_health.h"
#include "admin/config_store.h"
#include "admin/consumer_config.h"
#include "admin/reconciler.h"
#include "admin/replica_board.h"

namespace fetcher {

// A consumer with how it is doing.
struct ConsumerView {
    StoredConsumer stored;
    ConsumerObservation seen;
    ConsumerHealth health;
    bool settled = true;  // what was asked for has had its effect; false: it is still on its way
    bool stale = false;   // the store is away: `stored` is what it last said
    std::vector<PartHealth> replicas;  // where several processes share the store: each, this one first
};

// The revisions at which a change may be made (If-Match). Any, unless told.
struct Precondition {
    std::optional<std::vector<int64_t>> revisions;

    bool allows(int64_t revision) const {
        return !revisions || std::find(revisions->begin(), revisions->end(), revision) != revisions->end();
    }
};

struct ConsumerFilter {
    std::string status, topic, group;  // empty: any
    size_t limit = 100;
    int64_t after = 0;  // a sequence
};

struct ConsumerPage {
    std::vector<ConsumerView> items;
    std::optional<int64_t> next;  // the `after` of the next page
    bool stale = false;
};

struct RevisionPage {
    std::vector<StoredConsumer> items;  // newest first
    std::optional<int64_t> next;        // the `before` of the next page
};

class ConsumerService {
  public:
    ConsumerService(ConfigStore& store, Reconciler& reconciler, const ConsumerConfig& config, ReplicaBoard& replicas,
                    std::chrono::milliseconds wait_limit = std::chrono::seconds(10), std::chrono::milliseconds turn_limit = std::chrono::seconds(3))
        : store_(store), reconciler_(reconciler), config_(config), replicas_(replicas), wait_limit_(wait_limit), turn_limit_(turn_limit) {}

    Answer<ConsumerView> create(const nlohmann::json& body);
    Answer<ConsumerView> get(const std::string& consumer_id);
    Answer<ConsumerPage> list(const ConsumerFilter& filter);
    Answer<ConsumerView> update(const std::string& consumer_id, const nlohmann::json& body, const Precondition& precondition = {});
    Answer<ConsumerView> start(const std::string& consumer_id, const Precondition& precondition = {});
    // Replaces what runs of it, on every replica, whatever its backoff says.
    Answer<ConsumerView> restart(const std::string& consumer_id, const Precondition& precondition = {});
    Answer<ConsumerView> stop(const std::string& consumer_id, const Precondition& precondition = {});
    Answer<void> remove(const std::string& consumer_id, const Precondition& precondition = {});

    Answer<RevisionPage> revisions(const std::string& consumer_id, int64_t before, size_t limit);
    // Makes the definition of an older revision the newest one's. Whether the consumer runs stays as it is.
    Answer<ConsumerView> rollback(const std::string& consumer_id, int64_t revision, const Precondition& precondition = {});

    // What the stored consumers are, for whoever wants to know of their clusters; those that can be read.
    Answer<std::vector<ConsumerSpec>> specs();
    // Whether requests can be served: the store answers, and every consumer has been looked at once.
    Answer<void> ready();
    const ConsumerConfig& config() const { return config_; }
    const ReplicaBoard& replicas() const { return replicas_; }

  private:
    struct Known {
        std::vector<StoredConsumer> consumers;
        bool stale = false;
    };
    using Change = std::function<Answer<StoredConsumer>(const StoredConsumer& current)>;

    class WriteTurn;

    Answer<StoredConsumer> load(const std::string& consumer_id);
    Answer<void> check_claims(const StoredConsumer& consumer);
    Answer<StoredConsumer> write(const std::string& consumer_id, const Precondition& precondition, const Change& change, int attempts = 1);
    Answer<StoredConsumer> set_desired(const std::string& consumer_id, const Precondition& precondition, Desired desired);
    Answer<Known> list_all();
    ConsumerView view(StoredConsumer consumer) const { return view(std::move(consumer), replicas_.view()); }
    ConsumerView view(StoredConsumer consumer, const ReplicaBoard::View& replicas) const;
    ConsumerView settled_view(StoredConsumer consumer);

    ConfigStore& store_;
    Reconciler& reconciler_;
    const ConsumerConfig& config_;
    ReplicaBoard& replicas_;
    const std::chrono::milliseconds wait_limit_;
    const std::chrono::milliseconds turn_limit_;  // how long a change waits for those before it
    std::atomic<int> waiting_{0};
    std::mutex write_mutex_;
    std::condition_variable write_over_;
    bool writing_ = false;
};

}  // namespace fetcher
