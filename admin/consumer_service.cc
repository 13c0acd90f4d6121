#include "admin/consumer_service.h"

#include <spdlog/spdlog.h>

#include "admin/counted.h"
#include "admin/store_problem.h"
#include "engine/iso_time.h"

namespace fetcher {

namespace {

// So many requests may wait for effects at once; one more is answered with how things stand, so that threads stay free for the others.
constexpr int kMaxWaiting = 16;

// How long a stop waits for the other replicas to have stopped too; one that is frozen counts as alive for longer.
constexpr std::chrono::milliseconds kReplicaLimit{4'000};

// How often a start or stop tries to get in between the writes of others.
constexpr int kAttempts = 5;

tl::unexpected<Problem> outdated(const StoredConsumer& current) {
    return problem(412, "Consumer " + current.consumer_id + " is not at a revision that If-Match names. Read it again and repeat the change.");
}

// How long one of those who wait may wait.
std::chrono::milliseconds up_to(std::chrono::milliseconds limit, const Counted& waiter) {
    return waiter.within(kMaxWaiting) ? limit : std::chrono::milliseconds{0};
}

}  // namespace

// Between looking at the claims and storing nobody else of this process may take them. Where the store is slow, a queue of those who wait would take
// every thread: who has not had his turn in time does not get it.
class ConsumerService::WriteTurn {
  public:
    explicit WriteTurn(ConsumerService& service) : service_(service) {
        std::unique_lock lock(service_.write_mutex_);
        mine_ = service_.write_over_.wait_until(lock, std::chrono::steady_clock::now() + service_.turn_limit_, [&] { return !service_.writing_; });
        if (mine_) service_.writing_ = true;
    }
    ~WriteTurn() {
        if (!mine_) return;
        {
            const std::lock_guard lock(service_.write_mutex_);
            service_.writing_ = false;
        }
        service_.write_over_.notify_one();
    }
    WriteTurn(const WriteTurn&) = delete;
    WriteTurn& operator=(const WriteTurn&) = delete;
    bool mine() const { return mine_; }
    static tl::unexpected<Problem> too_late() {
        return tl::unexpected<Problem>(
            Problem{503, "Other changes are still being stored, and nothing of this one has been. Repeat it.", {}, {{"Retry-After", "2"}}});
    }

  private:
    ConsumerService& service_;
    bool mine_ = false;
};

Answer<StoredConsumer> ConsumerService::load(const std::string& consumer_id) {
    auto found = store_.find(consumer_id);
    if (!found) return problem_of(found.error());
    if (!*found) return problem(404, "There is no consumer " + consumer_id + ".");
    return std::move(**found);
}

ConsumerView ConsumerService::view(StoredConsumer consumer, const ReplicaBoard::View& replicas) const {
    ConsumerPart own{replicas_.self().instance_id, true, reconciler_.observe(consumer.consumer_id)};
    if (!consumer.unreadable.empty()) {
        auto health = judge_unreadable(consumer.unreadable, consumer.desired, own.seen);
        return {std::move(consumer), std::move(own.seen), std::move(health)};
    }
    std::vector<ConsumerPart> others;
    for (const auto& replica : replicas.others) {
        const auto known = replica.consumers.find(consumer.consumer_id);
        if (!replica.alive && known == replica.consumers.end()) continue;
        others.push_back({replica.instance.instance_id, replica.alive,
                          known != replica.consumers.end() ? known->second.seen : ConsumerObservation{}});
    }
    auto whole = combine_health(consumer.desired, own, others);
    if (!replicas.current && !others.empty())
        whole.health.reasons.push_back({HealthReason::Severity::noted, "replicas_unknown",
                                        "The database is away; of the other instances this is what they last reported.", "", {}, std::nullopt});
    if (!replicas_.shared()) whole.parts.clear();
    return {std::move(consumer), std::move(whole.seen), std::move(whole.health), true, false, std::move(whole.parts)};
}

ConsumerView ConsumerService::settled_view(StoredConsumer consumer) {
    reconciler_.poke();
    const Counted waiter(waiting_);
    const bool settled = reconciler_.wait_applied(consumer.consumer_id, consumer.revision, up_to(wait_limit_, waiter));
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
    const auto letters = config_.dead_letter_claim(consumer);
    for (const auto& other : *others) {
        if (other.consumer_id == consumer.consumer_id || other.desired != Desired::running) continue;
        const auto theirs = config_.claims(other);
        const auto has = [&](const std::string& claim) { return !claim.empty() && std::ranges::find(theirs, claim) != theirs.end(); };
        const auto taken = [&](const std::string& claim, const std::string& pointer) {
            return problem(409, "Consumer " + other.consumer_id + " is active and writes to the same place: " + claim + ". Stop it first, or choose another.",
                           {{pointer, "is in use by consumer " + other.consumer_id}});
        };
        for (size_t i = 0; i < mine.size(); ++i)
            if (has(mine[i]) || (!mine[i].empty() && mine[i] == config_.dead_letter_claim(other)))
                return taken(mine[i], "/processor_configs/" + std::to_string(i) + "/config");
        if (has(letters)) return taken(letters, "/dead_letter/file_path");
    }
    return {};
}

Answer<ConsumerView> ConsumerService::create(const nlohmann::json& body) {
    auto consumer = config_.create(body, iso_now());
    if (!consumer) return tl::unexpected<Problem>(consumer.error());
    tl::expected<StoredConsumer, StoreError> stored;
    {
        const WriteTurn turn(*this);
        if (!turn.mine()) return WriteTurn::too_late();
        if (const auto free = check_claims(*consumer); !free) return tl::unexpected<Problem>(free.error());
        stored = store_.create(*consumer);
    }
    if (!stored) return problem_of(stored.error());
    spdlog::info("consumer {}: created", stored->consumer_id);
    return settled_view(std::move(*stored));
}

// While the store is away, what it last said.
Answer<ConsumerService::Known> ConsumerService::list_all() {
    auto all = store_.list_soon();
    if (all) return Known{std::move(*all), false};
    const auto known = reconciler_.last_known();
    if (!known) return problem_of(all.error());
    return Known{*known, true};
}

Answer<ConsumerView> ConsumerService::get(const std::string& consumer_id) {
    auto loaded = load(consumer_id);
    if (loaded) return view(std::move(*loaded));
    const auto known = loaded.error().status == 503 ? reconciler_.last_known() : nullptr;
    if (known)
        for (const auto& consumer : *known) {
            if (consumer.consumer_id != consumer_id) continue;
            auto seen = view(consumer);
            seen.stale = true;
            return seen;
        }
    return tl::unexpected<Problem>(loaded.error());
}

Answer<ConsumerPage> ConsumerService::list(const ConsumerFilter& filter) {
    const auto all = list_all();
    if (!all) return tl::unexpected<Problem>(all.error());
    const auto matches = [](const std::string& wanted, const std::string& value) { return wanted.empty() || wanted == value; };
    const auto replicas = replicas_.view();
    ConsumerPage page;
    page.stale = all->stale;
    for (const auto& consumer : all->consumers) {
        if (consumer.sequence <= filter.after) continue;
        if (!matches(filter.topic, consumer.spec.topic) || !matches(filter.group, consumer.spec.consumer_group)) continue;
        auto seen = view(consumer, replicas);
        if (!matches(filter.status, seen.health.status)) continue;
        if (page.items.size() == filter.limit) {
            page.next = page.items.back().stored.sequence;
            break;
        }
        page.items.push_back(std::move(seen));
    }
    return page;
}

// A change that changes nothing makes no revision.
Answer<StoredConsumer> ConsumerService::write(const std::string& consumer_id, const Precondition& precondition, const Change& change,
                                              int attempts) {
    for (;;) {
        const auto current = load(consumer_id);
        if (!current) return current;
        if (!precondition.allows(current->revision)) return outdated(*current);
        auto next = change(*current);
        if (!next) return next;
        if (next->spec == current->spec && next->desired == current->desired) return current;
        next->revised_at = iso_now();

        const WriteTurn turn(*this);
        if (!turn.mine()) return WriteTurn::too_late();
        if (const auto free = check_claims(*next); !free) return tl::unexpected<Problem>(free.error());
        auto stored = store_.replace(*next);
        if (stored) return std::move(*stored);
        const bool conflict = stored.error().kind == StoreError::Kind::conflict;
        if (conflict && precondition.revisions) return outdated(*current);
        if (!conflict || --attempts == 0) return problem_of(stored.error());
    }
}

Answer<StoredConsumer> ConsumerService::set_desired(const std::string& consumer_id, const Precondition& precondition, Desired desired) {
    const auto change = [&](StoredConsumer current) -> Answer<StoredConsumer> {
        if (!current.unreadable.empty()) return problem(409, current.unreadable);
        current.desired = desired;
        return current;
    };
    return write(consumer_id, precondition, change, kAttempts);
}

Answer<ConsumerView> ConsumerService::update(const std::string& consumer_id, const nlohmann::json& body, const Precondition& precondition) {
    const auto change = [&](const StoredConsumer& current) -> Answer<StoredConsumer> {
        if (!current.unreadable.empty()) return problem(409, current.unreadable);  // the next revision would be made of nothing
        return config_.merge(current, body, iso_now());
    };
    auto stored = write(consumer_id, precondition, change);
    if (!stored) return tl::unexpected<Problem>(stored.error());
    spdlog::info("consumer {}: updated, revision {}", consumer_id, stored->revision);
    reconciler_.retry_now(consumer_id);
    return settled_view(std::move(*stored));
}

Answer<ConsumerView> ConsumerService::start(const std::string& consumer_id, const Precondition& precondition) {
    // One that is to run and is in ERROR, here or on another replica, is tried again at once.
    if (const auto now = get(consumer_id); now && now->stored.desired == Desired::running && now->health.status == "ERROR")
        return restart(consumer_id, precondition);
    auto stored = set_desired(consumer_id, precondition, Desired::running);
    if (!stored) return tl::unexpected<Problem>(stored.error());
    reconciler_.retry_now(consumer_id);
    return settled_view(std::move(*stored));
}

// As a new revision, so that the other replicas follow.
Answer<ConsumerView> ConsumerService::restart(const std::string& consumer_id, const Precondition& precondition) {
    const auto change = [&](StoredConsumer current) -> Answer<StoredConsumer> {
        if (!current.unreadable.empty()) return problem(409, current.unreadable);
        if (current.desired != Desired::running) return problem(409, "Consumer " + consumer_id + " is stopped; POST …/start starts it.");
        current.spec.restart_requests++;
        return current;
    };
    auto stored = write(consumer_id, precondition, change, kAttempts);
    if (!stored) return tl::unexpected<Problem>(stored.error());
    spdlog::info("consumer {}: a restart was asked for, revision {}", consumer_id, stored->revision);
    return settled_view(std::move(*stored));
}

Answer<ConsumerView> ConsumerService::stop(const std::string& consumer_id, const Precondition& precondition) {
    auto stored = set_desired(consumer_id, precondition, Desired::stopped);
    if (!stored) return tl::unexpected<Problem>(stored.error());
    auto here = settled_view(*stored);
    if (!here.settled) return here;
    // INACTIVE is said when it is so everywhere.
    const Counted waiter(waiting_);
    const bool settled = replicas_.wait_applied(consumer_id, stored->revision, up_to(kReplicaLimit, waiter));
    auto everywhere = view(std::move(*stored));
    everywhere.settled = settled;
    return everywhere;
}

// Gone from the store first: a crash in between must not bring it back.
Answer<void> ConsumerService::remove(const std::string& consumer_id, const Precondition& precondition) {
    std::optional<int64_t> seen;
    if (precondition.revisions) {
        const auto current = load(consumer_id);
        if (!current) return tl::unexpected<Problem>(current.error());
        if (!precondition.allows(current->revision)) return outdated(*current);
        seen = current->revision;
    }
    const auto removed = store_.remove(consumer_id, seen);
    if (!removed && removed.error().kind == StoreError::Kind::conflict) return problem(412, removed.error().reason + " Read it again.");
    if (!removed) return problem_of(removed.error());
    spdlog::info("consumer {}: deleted", consumer_id);
    reconciler_.poke();
    const Counted waiter(waiting_);
    reconciler_.wait_gone(consumer_id, up_to(wait_limit_, waiter));
    replicas_.wait_gone(consumer_id, up_to(kReplicaLimit, waiter));
    return {};
}

Answer<RevisionPage> ConsumerService::revisions(const std::string& consumer_id, int64_t before, size_t limit) {
    auto found = store_.revisions(consumer_id, before, limit + 1);
    if (!found) return problem_of(found.error());
    if (found->empty())
        if (const auto known = load(consumer_id); !known) return tl::unexpected<Problem>(known.error());
    RevisionPage page;
    page.items = std::move(*found);
    if (page.items.size() > limit) {
        page.items.pop_back();
        page.next = page.items.back().revision;
    }
    return page;
}

Answer<ConsumerView> ConsumerService::rollback(const std::string& consumer_id, int64_t revision, const Precondition& precondition) {
    const auto change = [&](const StoredConsumer& current) -> Answer<StoredConsumer> {
        const auto old = store_.revision(consumer_id, revision);
        if (!old) return problem_of(old.error());
        if (!*old)
            return problem(404, "Consumer " + consumer_id + " has no version " + std::to_string(revision) +
                                    "; GET /api/consumers/" + consumer_id + "/versions lists those that it has.");
        if (!(*old)->unreadable.empty()) return problem(409, (*old)->unreadable);
        return config_.restore(current, (*old)->spec, iso_now());
    };
    auto stored = write(consumer_id, precondition, change);
    if (!stored) return tl::unexpected<Problem>(stored.error());
    spdlog::info("consumer {}: rolled back to version {}, revision {}", consumer_id, revision, stored->revision);
    reconciler_.retry_now(consumer_id);
    return settled_view(std::move(*stored));
}

Answer<std::vector<ConsumerSpec>> ConsumerService::specs() {
    const auto all = list_all();
    if (!all) return tl::unexpected<Problem>(all.error());
    std::vector<ConsumerSpec> specs;
    for (const auto& consumer : all->consumers)
        if (consumer.unreadable.empty()) specs.push_back(consumer.spec);
    return specs;
}

Answer<void> ConsumerService::ready() {
    if (const auto reachable = store_.ping(); !reachable) return problem_of(reachable.error());
    if (!reconciler_.ready())
        return tl::unexpected<Problem>(Problem{503, "The stored consumers have not been started yet.", {}, {{"Retry-After", "1"}}});
    return {};
}

}  // namespace fetcher
