#include "admin/reconciler.h"

#include <spdlog/spdlog.h>

#include <set>
#include <vector>

namespace fetcher {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds kPollInterval{5'000};   // of the store, should news of a change be lost
constexpr milliseconds kRetryInterval{1'000};  // while it is away
constexpr milliseconds kIdleStep{200};
constexpr milliseconds kDrainStep{5};

}  // namespace

Reconciler::Reconciler(ConfigStore& store, PipelineFactory factory, RestartPolicy policy, Forget forget_all_but)
    : store_(store), factory_(std::move(factory)), policy_(policy), forget_all_but_(std::move(forget_all_but)) {}

Reconciler::~Reconciler() { stop(milliseconds{0}); }

void Reconciler::start() {
    reader_ = std::thread([this] { read_store(); });
    thread_ = std::thread([this] { run(); });
}

bool Reconciler::stop(milliseconds timeout) {
    if (!thread_.joinable()) return drained_;
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
        drain_timeout_ = timeout;
    }
    wake_.notify_all();
    read_.notify_all();
    changed_.notify_all();
    thread_.join();
    reader_.join();
    return drained_;
}

void Reconciler::poke() {
    {
        std::lock_guard lock(mutex_);
        ++wanted_generation_;
    }
    read_.notify_all();
}

void Reconciler::retry_now(const std::string& consumer_id) {
    if (const auto consumer = find(consumer_id)) consumer->retry_now();
    poke();
}

std::shared_ptr<ManagedConsumer> Reconciler::find(const std::string& consumer_id) const {
    std::lock_guard lock(mutex_);
    const auto found = consumers_.find(consumer_id);
    return found == consumers_.end() ? nullptr : found->second;
}

bool Reconciler::wait_applied(const std::string& consumer_id, int64_t revision, milliseconds timeout) {
    std::unique_lock lock(mutex_);
    const auto since = wanted_generation_;
    const auto applied = [&] {
        const auto found = consumers_.find(consumer_id);
        return found != consumers_.end() && found->second->applied_revision() >= revision;
    };
    // Somebody else may have deleted it in the meantime.
    const auto deleted = [&] { return adopted_generation_ >= since && !consumers_.contains(consumer_id); };
    changed_.wait_for(lock, timeout, [&] { return stopping_ || failed_generation_ >= since || applied() || deleted(); });
    return applied();
}

bool Reconciler::wait_gone(const std::string& consumer_id, milliseconds timeout) {
    std::unique_lock lock(mutex_);
    const auto since = wanted_generation_;
    const auto gone = [&] { return adopted_generation_ >= since && !consumers_.contains(consumer_id); };
    changed_.wait_for(lock, timeout, [&] { return stopping_ || failed_generation_ >= since || gone(); });
    return gone();
}

ConsumerReports Reconciler::reports() const {
    std::map<std::string, std::shared_ptr<ManagedConsumer>> consumers;
    {
        std::lock_guard lock(mutex_);
        consumers = consumers_;
    }
    ConsumerReports reports;
    // The revision first: what is observed is at least as new.
    for (const auto& [id, consumer] : consumers) {
        const auto revision = consumer->applied_revision();
        reports[id] = {revision, consumer->observe()};
    }
    return reports;
}

ConsumerObservation Reconciler::observe(const std::string& consumer_id) const {
    const auto consumer = find(consumer_id);
    return consumer ? consumer->observe() : ConsumerObservation{};
}

std::shared_ptr<const std::vector<StoredConsumer>> Reconciler::last_known() const {
    std::lock_guard lock(mutex_);
    return listed_.consumers;
}

// A store that cannot be read changes nothing: what runs goes on.
void Reconciler::read_store() {
    const auto watch = store_.watch([this] { poke(); });
    bool away = false;
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        const auto generation = wanted_generation_;
        lock.unlock();
        auto listed = store_.list();
        if (!listed && !away) spdlog::error("store: {} What runs goes on.", listed.error().reason);
        if (listed && away) spdlog::info("store: answers again");
        away = !listed;
        lock.lock();
        if (away) {
            failed_generation_ = generation;
            changed_.notify_all();
        } else {
            listed_ = {std::make_shared<const std::vector<StoredConsumer>>(std::move(*listed)), generation};
            wake_.notify_all();
        }
        read_.wait_for(lock, away ? kRetryInterval : kPollInterval, [&] { return stopping_ || wanted_generation_ > generation; });
    }
}

void Reconciler::run() {
    for (;;) {
        {
            std::lock_guard lock(mutex_);
            if (stopping_) break;
            adopt();
        }
        const bool draining = step_all();
        changed_.notify_all();
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, draining ? kDrainStep : kIdleStep, [&] { return stopping_ || listed_.generation > adopted_generation_; });
    }
    drain_all(steady_clock::now() + drain_timeout_);
    changed_.notify_all();
}

// Under the lock.
void Reconciler::adopt() {
    if (!listed_.consumers || listed_.consumers == adopted_) return;
    adopted_ = listed_.consumers;
    adopted_generation_ = listed_.generation;
    std::set<std::string> wanted;
    for (const auto& stored : *adopted_) {
        wanted.insert(stored.consumer_id);
        auto& consumer = consumers_[stored.consumer_id];
        if (consumer) {
            consumer->set_desired(stored);
            continue;
        }
        if (!stored.unreadable.empty()) spdlog::error("consumer {}: {}", stored.consumer_id, stored.unreadable);
        consumer = std::make_shared<ManagedConsumer>(stored, factory_, policy_);
    }
    for (auto& [id, consumer] : consumers_)
        if (!wanted.contains(id)) consumer->remove();
}

bool Reconciler::step_all() {
    std::vector<std::shared_ptr<ManagedConsumer>> consumers;
    {
        std::lock_guard lock(mutex_);
        for (const auto& [id, consumer] : consumers_) consumers.push_back(consumer);
    }
    bool draining = false;
    for (const auto& consumer : consumers) {
        consumer->step(steady_clock::now());
        draining |= consumer->draining();
    }
    let_go_of_the_gone();
    return draining;
}

// As long as the store has not been read nobody is gone: what runs, and what is kept of it, stays.
void Reconciler::let_go_of_the_gone() {
    std::set<std::string> here, gone;
    {
        std::lock_guard lock(mutex_);
        if (!adopted_) return;
        for (const auto& [id, consumer] : consumers_) (consumer->gone() ? gone : here).insert(id);
    }
    // A store without a single consumer at the start may be the wrong one.
    if (forget_all_but_ && (!gone.empty() || (!ready_ && !here.empty()))) forget_all_but_(here);
    std::lock_guard lock(mutex_);
    for (const auto& id : gone) consumers_.erase(id);
    ready_ = true;
}

void Reconciler::drain_all(steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    const auto consumers = consumers_;
    for (const auto& [id, consumer] : consumers) consumer->shut_down();
    const auto step = [&] {
        bool running = false;
        for (const auto& [id, consumer] : consumers) {
            consumer->step(steady_clock::now());
            running |= consumer->has_pipeline();
        }
        return running;
    };
    while ((drained_ = !step()) == false && steady_clock::now() < deadline) wake_.wait_for(lock, kDrainStep);
}

}  // namespace fetcher
