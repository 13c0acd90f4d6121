#include "admin/combined_health.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

namespace fetcher {
namespace {

// From harmless to bad.
size_t rank(const std::string& state) {
    constexpr std::array<std::string_view, 7> kStates = {"stopped", "ok", "stopping", "waiting", "degraded", "stalled", "error"};
    return static_cast<size_t>(std::find(kStates.begin(), kStates.end(), state) - kStates.begin());
}
size_t status_rank(const std::string& status) { return status == "ERROR" ? 2 : status == "ACTIVE" ? 1 : 0; }

template <class Time>
void take_earlier(std::optional<Time>& time, const std::optional<Time>& other) {
    if (other && (!time || *other < *time)) time = other;
}

bool is_only_idle(const ConsumerHealth& health) {
    return health.state == "waiting" && health.reasons.size() == 1 && health.reasons[0].code == "no_partitions";
}

// What a dead one lagged is somebody else's by now, or told of its partitions.
void add_processors(std::vector<ProcessorSnapshot>& all, const std::vector<ProcessorSnapshot>& more, bool alive) {
    for (auto p : more) {
        if (!alive) p.lag = -1;
        const auto same = std::find_if(all.begin(), all.end(), [&](const auto& known) { return known.id == p.id; });
        if (same == all.end()) {
            all.push_back(std::move(p));
            continue;
        }
        same->records += p.records;
        same->bytes += p.bytes;
        same->batches += p.batches;
        same->retries += p.retries;
        same->errors += p.errors;
        same->dead_letters += p.dead_letters;
        same->queue_batches += p.queue_batches;
        same->dropped += p.dropped;
        if (p.lag >= 0) same->lag = std::max<int64_t>(0, same->lag) + p.lag;
    }
}

class Combiner {
  public:
    explicit Combiner(Desired desired) : desired_(desired) {}

    void add(const ConsumerPart& part) {
        add_counts(part.seen, part.alive);
        if (!part.alive) {
            dead_.push_back(&part);
            result_.parts.push_back({part.instance_id, false, {}, {}});
            return;
        }
        add_living(part.seen);
        auto health = judge_health(desired_, part.seen);
        std::vector<int32_t> partitions;
        if (part.seen.pipeline)
            for (const auto& p : part.seen.pipeline->partitions) {
                partitions.push_back(p.partition);
                add_partition(p);
            }
        result_.parts.push_back({part.instance_id, true, std::move(health), std::move(partitions)});
    }

    CombinedHealth finish() {
        const bool anybody_reads = !partitions_.empty();
        for (const auto& part : result_.parts) {
            const bool own = &part == &result_.parts.front();
            if (part.alive && !(anybody_reads && is_only_idle(part.health))) add_health(part, own);
        }
        for (const auto* dead : dead_) add_orphans(*dead);
        if (any_pipeline_) {
            for (const auto& [p, partition] : partitions_) snapshot_.partitions.push_back(partition);
            result_.seen.pipeline = std::move(snapshot_);
        }
        return std::move(result_);
    }

  private:
    void add_counts(const ConsumerObservation& seen, bool alive) {
        auto& sum = result_.seen;
        sum.totals.records += seen.totals.records;
        sum.totals.bytes += seen.totals.bytes;
        sum.totals.errors += seen.totals.errors;
        sum.totals.restarts += seen.totals.restarts;
        sum.totals.dead_letters += seen.totals.dead_letters;
        sum.totals.gaps += seen.totals.gaps;
        sum.totals.dropped += seen.totals.dropped;
        if (seen.last_error && (!sum.last_error || seen.last_error->at > sum.last_error->at)) sum.last_error = seen.last_error;
        if (!seen.pipeline) return;
        any_pipeline_ = true;
        snapshot_.rebalances += seen.pipeline->rebalances;
        snapshot_.commits += seen.pipeline->commits;
        snapshot_.commit_failures += seen.pipeline->commit_failures;
        snapshot_.gaps += seen.pipeline->gaps;
        add_processors(snapshot_.processors, seen.pipeline->processors, alive);
    }

    void add_living(const ConsumerObservation& seen) {
        auto& sum = result_.seen;
        sum.records_per_second += seen.records_per_second;
        sum.bytes_per_second += seen.bytes_per_second;
        sum.stopping |= seen.stopping;
        take_earlier(sum.next_retry_at, seen.next_retry_at);
        take_earlier(sum.stalled_since, seen.stalled_since);
        if (sum.failure.empty()) sum.failure = seen.failure;
        if (seen.pipeline) snapshot_.memory_bytes += seen.pipeline->memory_bytes;
    }

    // While a partition moves two may report it: the one that is further has it.
    void add_partition(const PartitionSnapshot& p) {
        const auto [at, is_new] = partitions_.try_emplace(p.partition, p);
        if (!is_new && p.durable > at->second.durable) at->second = p;
    }

    void add_health(const PartHealth& part, bool own) {
        auto& sum = result_.health;
        if (sum.status.empty() || status_rank(part.health.status) > status_rank(sum.status)) sum.status = part.health.status;
        if (sum.state.empty() || rank(part.health.state) > rank(sum.state)) sum.state = part.health.state;
        take_earlier(sum.next_retry_at, part.health.next_retry_at);
        for (auto reason : part.health.reasons) {
            if (!own) reason.detail = "on " + part.instance_id + ": " + reason.detail;
            sum.reasons.push_back(std::move(reason));
        }
    }

    void add_orphans(const ConsumerPart& dead) {
        if (!dead.seen.pipeline || desired_ != Desired::running) return;
        std::string orphans;
        for (const auto& p : dead.seen.pipeline->partitions) {
            if (!partitions_.try_emplace(p.partition, p).second) continue;
            orphans += (orphans.empty() ? "" : ", ") + std::to_string(p.partition);
        }
        if (orphans.empty()) return;
        auto& sum = result_.health;
        if (rank(sum.state) < rank("degraded")) sum.state = "degraded";
        sum.reasons.push_back({HealthReason::Severity::degraded, "replica_lost",
                               "Instance " + dead.instance_id + " is silent; nobody has taken over its partitions yet: " + orphans, "",
                               std::chrono::system_clock::time_point{}, std::nullopt});
    }

    const Desired desired_;
    CombinedHealth result_;
    PipelineSnapshot snapshot_{.state = PipelineSnapshot::State::running};
    bool any_pipeline_ = false;
    std::map<int32_t, PartitionSnapshot> partitions_;
    std::vector<const ConsumerPart*> dead_;
};

}  // namespace

CombinedHealth combine_health(Desired desired, const ConsumerPart& own, const std::vector<ConsumerPart>& others) {
    Combiner combiner(desired);
    combiner.add(own);
    for (const auto& other : others) combiner.add(other);
    return combiner.finish();
}

}  // namespace fetcher
