#include "engine/poll_loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace fetcher {
namespace {

constexpr std::chrono::seconds kCommitTimeout{3};
constexpr std::chrono::seconds kCloseTimeout{2};
constexpr std::chrono::seconds kLogEndInterval{5};
constexpr std::chrono::milliseconds kPublishInterval{200};

using Severity = HealthReason::Severity;

}  // namespace

PollLoop::PollLoop(PollLoopOptions options, Source& source, std::vector<std::unique_ptr<Worker>>& workers, AckQueue& acks,
                   Doorbell& doorbell, MemoryBudget::Member& memory, HealthBoard& health, SnapshotBoard& snapshots)
    : options_(std::move(options)), source_(source), workers_(workers), acks_(acks), doorbell_(doorbell), pool_(memory),
      memory_(memory), health_(health), snapshots_(snapshots),
      owing_(workers.size(), 0) {
    for (const auto& worker : workers_) {
        parts_.keys |= worker->parts().keys;
        parts_.headers |= worker->parts().headers;
    }
}

std::string PollLoop::run(const std::atomic<bool>& stop) {
    counters_.state = PipelineSnapshot::State::running;
    counters_.last_progress = Clock::now();
    if (const auto subscribed = source_.subscribe(*this); !subscribed) fail(subscribed.error().reason);
    while (!stop.load(std::memory_order_acquire) && failure_.empty()) {
        take_acks();
        source_.serve();
        begin_late();
        const bool moved = drain_all();
        housekeep(Clock::now());
        if (!moved) wait_for([] { return true; }, std::min(next_commit_, next_publish_));
    }
    shut_down();
    return failure_;
}

void PollLoop::fail(std::string why) {
    if (!failure_.empty()) return;  // the first cause counts
    counters_.errors++;
    failure_ = std::move(why);
}

// --- acks ------------------------------------------------------------------------------------------------------------------

void PollLoop::take_acks() {
    Ack ack;
    while (acks_.try_pop(ack)) take(ack);
}

AssignedPartition* PollLoop::find(const Ack& ack) {
    const auto it = partitions_.find(ack.assignment->partition);
    return it != partitions_.end() && it->second.assignment == ack.assignment ? &it->second : nullptr;
}

void PollLoop::take(Ack& ack) {
    const std::string& processor = options_.processor_ids[ack.processor];
    switch (ack.kind) {
        case Ack::Kind::given_back:
            owing_[ack.processor]--;
            if (--ack.batch->lanes_owing > 0) break;
            ack.assignment = ack.batch->assignment_ptr();
            if (auto* partition = find(ack)) partition->in_lanes--;
            pool_.put(ack.batch);
            break;
        case Ack::Kind::durable:
            if (auto* partition = find(ack); partition && partition->tracker) {
                partition->tracker->durable(ack.processor, ack.offset);
                counters_.last_progress = Clock::now();
            }
            break;
        case Ack::Kind::opened:
            if (auto* partition = find(ack); partition && !partition->opened[ack.processor]) {
                partition->opened[ack.processor] = true;
                partition->positions[ack.processor] = std::move(ack.position);
                partition->to_open--;
                health_.clear("sink_blocked", processor);
            }
            break;
        case Ack::Kind::blocked:
            if (find(ack)) health_.set(Severity::blocked, "sink_blocked", std::move(ack.text), processor, ack.next_try);
            counters_.errors++;
            break;
        case Ack::Kind::closed:
            if (auto* partition = find(ack); partition && partition->to_close > 0) partition->to_close--;
            break;
        case Ack::Kind::retrying:
            health_.set(Severity::degraded, ack.code, std::move(ack.text), processor, ack.next_try);
            counters_.errors++;
            break;
        case Ack::Kind::recovered:
            health_.clear(ack.code, processor);
            break;
        case Ack::Kind::failed:
            fail(std::move(ack.text));
            break;
        case Ack::Kind::stopped:
            stopped_workers_++;
            break;
    }
}

// Sleeps until the doorbell has been answered with `done`, or the deadline. Rings of queues are consumed here, so all are looked at again.
void PollLoop::wait_for(const std::function<bool()>& done, TimePoint deadline) {
    take_acks();
    do {
        doorbell_.wait_until(deadline);
        take_acks();
    } while (!done() && Clock::now() < deadline);
    for (auto& [p, partition] : partitions_) partition.more = true;
}

// --- records flow ------------------------------------------------------------------------------------------------------------

bool PollLoop::has_credit() const {
    return std::ranges::all_of(owing_, [](int batches) { return batches < Lane::kDepth; });
}

// One batch from each partition in turn, beginning behind the one that was last: all get their share of the credit.
bool PollLoop::drain_all() {
    bool moved = false;
    const int share = Lane::share_of(partitions_.size());
    auto it = partitions_.upper_bound(drained_last_);
    for (size_t n = partitions_.size(); n > 0; n--, ++it) {
        if (it == partitions_.end()) it = partitions_.begin();
        AssignedPartition& partition = it->second;
        if (partition.state != AssignedPartition::State::flowing || !partition.more || partition.in_lanes >= share) continue;
        if (!has_credit()) break;
        if (!drain(partition)) continue;
        moved = true;
        drained_last_ = it->first;
    }
    return moved;
}

bool PollLoop::drain(AssignedPartition& partition) {
    Batch* batch = pool_.try_take();
    if (!batch) return false;
    const size_t capacity = batch->capacity_bytes();
    batch->begin(partition.assignment, partition.next_offset);
    const DrainResult drained = partition.queue->drain(*batch, parts_, BatchPool::kTargetBytes);
    pool_.account(batch, capacity);
    partition.more = drained.more;
    if (drained.error) fail("partition " + std::to_string(partition.assignment->partition) + ": " + drained.error->reason);
    if (batch->next_offset() == partition.next_offset) {
        pool_.put_unused(batch);
        return false;
    }
    partition.next_offset = batch->next_offset();
    counters_.records += batch->size();
    counters_.bytes += batch->value_bytes();
    partition.in_lanes++;
    hand_over(batch);
    return true;
}

void PollLoop::hand_over(Batch* batch) {
    batch->lanes_owing = static_cast<int>(workers_.size());
    for (size_t i = 0; i < workers_.size(); i++) {
        owing_[i]++;
        workers_[i]->lane().push({.kind = LaneItem::Kind::batch, .batch = batch});
    }
}

// --- in between ----------------------------------------------------------------------------------------------------------------

void PollLoop::housekeep(TimePoint now) {
    if (now >= next_commit_) {
        commit_dirty(false);
        next_commit_ = now + options_.commit_interval;
    }
    if (now >= next_log_ends_) {
        // Of partition 0 where there is none of ours: only to know whether the broker answers.
        source_.ask_log_ends(partitions_.empty() ? std::vector<int32_t>{0} : assigned());
        next_log_ends_ = now + kLogEndInterval;
    }
    if (now >= next_publish_) {
        publish();
        next_publish_ = now + kPublishInterval;
    }
}

void PollLoop::commit_dirty(bool wait) {
    std::vector<PartitionStart> dirty;
    for (auto& [p, partition] : partitions_) {
        if (!partition.tracker || partition.tracker->watermark() == (wait ? partition.committed : partition.commit_asked)) continue;
        partition.commit_asked = partition.tracker->watermark();
        dirty.push_back({p, partition.commit_asked});
    }
    if (dirty.empty()) return;
    if (!wait) return source_.commit_async(dirty);
    if (const auto done = source_.commit(dirty, kCommitTimeout); !done) on_committed({}, done.error().reason);
}

void PollLoop::on_committed(const std::vector<PartitionStart>& offsets, const std::string& error) {
    for (const auto& [p, offset] : offsets) {
        if (const auto it = partitions_.find(p); it != partitions_.end()) it->second.committed = offset;
    }
    if (error.empty()) {
        counters_.commits++;
        health_.clear("commit_failed");
        return health_.clear("broker_unreachable");
    }
    counters_.commit_failures++;
    health_.set(Severity::degraded, "commit_failed", "offsets could not be committed, the next commit covers them: " + error);
    for (auto& [p, partition] : partitions_) partition.commit_asked = partition.committed;
}

void PollLoop::on_log_ends(const std::map<int32_t, int64_t>& log_end_offsets) {
    health_.clear("broker_unreachable");
    for (const auto& [p, offset] : log_end_offsets) {
        const auto it = partitions_.find(p);
        if (it == partitions_.end()) continue;
        it->second.asked_log_end = offset;
        if (!it->second.first_end) it->second.first_end = offset;
    }
}

void PollLoop::on_trouble(const SourceTrouble& trouble) {
    switch (trouble.kind) {
        case SourceTrouble::Kind::broker_unreachable:
            return health_.set(Severity::degraded, "broker_unreachable", "the broker does not answer: " + trouble.reason);
        case SourceTrouble::Kind::topic_missing:
            return fail("topic " + options_.topic + " is gone: " + trouble.reason);
        case SourceTrouble::Kind::fatal:
            return fail(trouble.reason);
        case SourceTrouble::Kind::hiccup:
            return spdlog::debug("consumer {}: {}", options_.consumer_id, trouble.reason);
    }
}

void PollLoop::publish() {
    PipelineSnapshot snapshot = counters_;
    for (const auto& [p, partition] : partitions_) {
        PartitionSnapshot s{.partition = p, .position = partition.next_offset, .committed = partition.committed};
        if (partition.tracker) s.durable = partition.tracker->watermark();
        s.log_end_offset = std::max({partition.asked_log_end, source_.fetched_log_end(p), partition.next_offset});
        if (s.log_end_offset >= 0 && s.durable >= 0) s.lag = std::max<int64_t>(0, s.log_end_offset - s.durable);
        snapshot.partitions.push_back(s);
    }
    for (size_t i = 0; i < workers_.size(); i++) {
        ProcessorSnapshot s = workers_[i]->snapshot();
        s.id = options_.processor_ids[i];
        s.queue_batches = static_cast<uint64_t>(owing_[i]);
        snapshot.processors.push_back(std::move(s));
    }
    snapshot.reasons = health_.reasons();
    snapshot.memory_bytes = memory_.bytes();
    snapshots_.publish(std::move(snapshot));
}

std::vector<int32_t> PollLoop::assigned() const {
    std::vector<int32_t> all;
    for (const auto& [p, partition] : partitions_) all.push_back(p);
    return all;
}

void PollLoop::shut_down() {
    counters_.state = PipelineSnapshot::State::stopping;
    publish();
    close_partitions(assigned(), false);
    for (auto& worker : workers_) worker->lane().push({.kind = LaneItem::Kind::stop});
    source_.close(kCloseTimeout);
    // Without a deadline on purpose: a worker that hangs in a system call holds memory and a lock of ours; the process's own deadline
    // ends that, nothing else can.
    while (stopped_workers_ < workers_.size()) wait_for([&] { return stopped_workers_ == workers_.size(); }, Clock::now() + kCloseTimeout);
    publish();
}

}  // namespace fetcher
