#include "admin/consumer_service.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "admin/iso_time.h"

namespace fetcher {

namespace {

// So many requests may wait for effects at once; one more is answered with how things stand, so that threads stay free for the others.
constexpr int kMaxWaiting = 16;

tl::unexpected<Problem> problem_of(const StoreError& error) {
    switch (error.kind) {
        case StoreError::Kind::conflict: return problem(409, error.reason + " Read it again and repeat the change.");
        case StoreError::Kind::missing: return problem(404, error.reason);
        case StoreError::Kind::unavailable: break;
    }
    return tl::unexpected<Problem>(Problem{503, error.reason, {}, {{"Retry-After", "5"}}});
}

class Counted {
  public:
    explicit Counted(std::atomic<int>& count) : count_(count), mine_(count.fetch_add(1) + 1) {}
    ~Counted() { count_.fetch_sub(1); }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    int mine() const { return mine_; }

  private:
    std::atomic<int>& count_;
    const int mine_;
};

}  // namespace

Answer<StoredConsumer> ConsumerService::load(const std::string& consumer_id) {
    auto found = store_.find(consumer_id);
    if (!found) return problem_of(found.error());
    if (!*found) return problem(404, "There is no consumer " + consumer_id + ".");
    return std::move(**found);
}

ConsumerView ConsumerService::view(StoredConsumer consumer) const {
    auto seen = reconciler_.observe(consumer.consumer_id);
    auto health = consumer.unreadable.empty() ? judge_health(consumer.desired, seen)
                                              : judge_unreadable(consumer.unreadable, consumer.desired, seen);
    return {std::move(consumer), std::move(seen), std::move(health), true};
}

ConsumerView ConsumerService::settled_view(StoredConsumer consumer) {
    reconciler_.poke();
    const Counted waiter(waiting_);
    const auto limit = waiter.mine() <= kMaxWaiting ? wait_limit_ : std::chrono::milliseconds{0};
    const bool settled = reconciler_.wait_applied(consumer.consumer_id, consumer.revision, limit);
    auto seen = view(std::move(consumer));
    seen.settled = settled;
    return seen;
}

// An ACTIVE consumer may not claim what another ACTIVE one has.
Answer<void> ConsumerService::check_claims(const StoredConsumer& consumer) {
    if (consumer.desired != Desired::running) return {};
    const auto others = store_.list();
    if (!others) return problem_of(others.error());
    const auto mine = config_.claims(consumer);
    for (const auto& other : *others) {
        if (other.consumer_id == consumer.consumer_id || other.desired != Desired::running) continue;
        const auto theirs = config_.claims(other);
        for (size_t i = 0; i < mine.size(); ++i) {
            if (mine[i].empty() || std::find(theirs.begin(), theirs.end(), mine[i]) == theirs.end()) continue;
            return problem(409,
                           "Consumer " + other.consumer_id + " is active and writes to the same place: " + mine[i] +
                               ". Stop it first, or choose another.",
                           {{"/processor_configs/" + std::to_string(i) + "/config", "is in use by consumer " + other.consumer_id}});
        }
    }
    return {};
}

Answer<ConsumerView> ConsumerService::create(const nlohmann::json& body) {
    auto consumer = config_.create(body, iso_now());
    if (!consumer) return tl::unexpected<Problem>(consumer.error());
    tl::expected<StoredConsumer, StoreError> stored;
    {
        std::lock_guard lock(write_mutex_);
        if (const auto free = check_claims(*consumer); !free) return tl::unexpected<Problem>(free.error());
        stored = store_.create(*consumer);
    }
    if (!stored) return problem_of(stored.error());
    spdlog::info("consumer {}: created", stored->consumer_id);
    return settled_view(std::move(*stored));
}

Answer<ConsumerView> ConsumerService::get(const std::string& consumer_id) {
    return load(consumer_id).map([&](StoredConsumer consumer) { return view(std::move(consumer)); });
}

Answer<ConsumerPage> ConsumerService::list(const ConsumerFilter& filter) {
    const auto all = store_.list();
    if (!all) return problem_of(all.error());
    const auto matches = [](const std::string& wanted, const std::string& value) { return wanted.empty() || wanted == value; };
    ConsumerPage page;
    for (const auto& consumer : *all) {
        if (consumer.sequence <= filter.after) continue;
        if (!matches(filter.topic, consumer.spec.topic) || !matches(filter.group, consumer.spec.consumer_group)) continue;
        auto seen = view(consumer);
        if (!matches(filter.status, seen.health.status)) continue;
        if (page.items.size() == filter.limit) {
            page.next = page.items.back().stored.sequence;
            break;
        }
        page.items.push_back(std::move(seen));
    }
    return page;
}

// Reads, changes and stores in one turn. A change that changes nothing makes no revision.
Answer<StoredConsumer> ConsumerService::write(const std::string& consumer_id, const nlohmann::json* body, std::optional<Desired> desired) {
    std::lock_guard lock(write_mutex_);
    auto current = load(consumer_id);
    if (!current) return current;
    if (!current->unreadable.empty()) return problem(409, current->unreadable);  // the next revision would be made of nothing
    auto next = body ? config_.merge(*current, *body, iso_now()) : current;
    if (!next) return next;
    next->desired = desired.value_or(current->desired);
    if (next->spec == current->spec && next->desired == current->desired) return current;
    if (const auto free = check_claims(*next); !free) return tl::unexpected<Problem>(free.error());
    auto stored = store_.replace(*next);
    if (!stored) return problem_of(stored.error());
    return std::move(*stored);
}

Answer<ConsumerView> ConsumerService::update(const std::string& consumer_id, const nlohmann::json& body) {
    auto stored = write(consumer_id, &body, std::nullopt);
    if (!stored) return tl::unexpected<Problem>(stored.error());
    spdlog::info("consumer {}: updated, revision {}", consumer_id, stored->revision);
    reconciler_.retry_now(consumer_id);
    return settled_view(std::move(*stored));
}

Answer<ConsumerView> ConsumerService::start(const std::string& consumer_id) {
    auto stored = write(consumer_id, nullptr, Desired::running);
    if (!stored) return tl::unexpected<Problem>(stored.error());
    reconciler_.retry_now(consumer_id);
    return settled_view(std::move(*stored));
}

Answer<ConsumerView> ConsumerService::stop(const std::string& consumer_id) {
    auto stored = write(consumer_id, nullptr, Desired::stopped);
    if (!stored) return tl::unexpected<Problem>(stored.error());
    return settled_view(std::move(*stored));
}

// Gone from the store first: a crash in between must not bring it back.
Answer<void> ConsumerService::remove(const std::string& consumer_id) {
    {
        std::lock_guard lock(write_mutex_);
        const auto removed = store_.remove(consumer_id);
        if (!removed) return problem_of(removed.error());
    }
    spdlog::info("consumer {}: deleted", consumer_id);
    reconciler_.poke();
    const Counted waiter(waiting_);
    reconciler_.wait_gone(consumer_id, waiter.mine() <= kMaxWaiting ? wait_limit_ : std::chrono::milliseconds{0});
    return {};
}

Answer<std::vector<std::string>> ConsumerService::brokers() {
    const auto all = store_.list();
    if (!all) return problem_of(all.error());
    std::vector<std::string> brokers;
    for (const auto& consumer : *all)
        if (consumer.unreadable.empty()) brokers.push_back(consumer.spec.bootstrap_servers());
    return brokers;
}

Answer<void> ConsumerService::ready() {
    if (const auto reachable = store_.ping(); !reachable) return problem_of(reachable.error());
    if (!reconciler_.ready())
        return tl::unexpected<Problem>(Problem{503, "The stored consumers have not been started yet.", {}, {{"Retry-After", "1"}}});
    return {};
}

}  // namespace fetcher
