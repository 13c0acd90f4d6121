// Reconciler: makes what runs follow what the store says. The same code runs at start-up, after a crash, on every change and for automatic
// recovery; the API only writes to the store and pokes.
//
// One thread steps every consumer; no step waits, so a consumer whose sink drains slowly holds up no other. Another thread reads the store
// whenever it may have changed, so that a store which is away or slow holds up nothing that runs.
// Thread: any
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "admin/config_store.h"
#include "admin/managed_consumer.h"
#include "admin/replica.h"

namespace fetcher {

class Reconciler {
  public:
    // Told which consumers there are, when that is first known and when one is gone: what is kept of others may go. Thread: its own
    using Forget = std::function<void(const std::set<std::string>& consumers)>;

    Reconciler(ConfigStore& store, PipelineFactory factory, RestartPolicy policy = {}, Forget forget_all_but = {});
    ~Reconciler();  // as stop(0)
    Reconciler(const Reconciler&) = delete;
    Reconciler& operator=(const Reconciler&) = delete;

    void start();
    // Drains all pipelines side by side, commits, and ends the thread. Waiters return. False if some were not done in time.
    bool stop(std::chrono::milliseconds timeout);

    // Whether every stored consumer has had its first step.
    bool ready() const { return ready_.load(); }

    // The store has changed: look now.
    void poke();
    // A person wants this consumer tried again now.
    void retry_now(const std::string& consumer_id);
    // Waits until the revision has had its effect here; false on timeout or shutdown, or when the store cannot be read.
    bool wait_applied(const std::string& consumer_id, int64_t revision, std::chrono::milliseconds timeout);
    // Waits until nothing of a deleted consumer runs any more; false likewise.
    bool wait_gone(const std::string& consumer_id, std::chrono::milliseconds timeout);

    ConsumerObservation observe(const std::string& consumer_id) const;
    ConsumerReports reports() const;  // of all, for the other replicas
    // What the store held when it was last read; nullptr: it has not been.
    std::shared_ptr<const std::vector<StoredConsumer>> last_known() const;

  private:
    struct Listing {
        std::shared_ptr<const std::vector<StoredConsumer>> consumers;
        uint64_t generation = 0;
    };

    std::shared_ptr<ManagedConsumer> find(const std::string& consumer_id) const;
    void read_store();
    void run();
    void adopt();
    bool step_all();  // whether something drains
    void let_go_of_the_gone();
    void drain_all(std::chrono::steady_clock::time_point deadline);

    ConfigStore& store_;
    const PipelineFactory factory_;
    const RestartPolicy policy_;
    const Forget forget_all_but_;
    std::atomic<bool> ready_{false};
    std::chrono::milliseconds drain_timeout_{0};
    bool drained_ = true;

    mutable std::mutex mutex_;
    std::condition_variable wake_;     // for the stepping thread
    std::condition_variable read_;     // for the reading thread
    std::condition_variable changed_;  // for waiters
    uint64_t wanted_generation_ = 1;   // rises with each poke
    Listing listed_;                   // the newest that has been read
    std::shared_ptr<const std::vector<StoredConsumer>> adopted_;  // the one that consumers_ follow
    uint64_t adopted_generation_ = 0;  // of adopted_: how many pokes had come before it was read
    uint64_t failed_generation_ = 0;   // how many pokes had come before the last reading that failed
    bool stopping_ = false;
    std::map<std::string, std::shared_ptr<ManagedConsumer>> consumers_;
    std::thread reader_;
    std::thread thread_;
};

}  // namespace fetcher
