#include "engine/poll_loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>

namespace fetcher {
namespace {

constexpr std::chrono::seconds kCommitTimeout{3};
constexpr std::chrono::seconds kCloseTimeout{2};
constexpr std::chrono::seconds kLogEndInterval{5};
constexpr std::chrono::seconds kLogEndIntervalInTrouble{1};
constexpr std::chrono::milliseconds kPublishInterval{200};

using Severity = HealthReason::Severity;

}  // namespace

PollLoop::PollLoop(PollLoopOptions options, Source& source, std::vector<std::unique_ptr<Worker>>& workers, AckQueue& acks,
                   Doorbell& doorbell, MemoryBudget::Member& memory, HealthBoard& health, SnapshotBoard& snapshots)
    : options_(std::move(options)), source_(source), workers_(workers), acks_(acks), doorbell_(doorbell),
      // A worker that is stuck with a full lane leaves the others as many as they would have without it.
      pool_(memory, std::max(BatchPool::kMaxBatches, workers.size() * Lane::kDepth)), memory_(memory), health_(health), snapshots_(snapshots) {
    for (size_t i = 0; i < workers_.size(); i++) {
        Receiver& receiver = receivers_.emplace_back(options_.reopen);
        receiver.worker = workers_[i].get();
        receiver.id = options_.processor_ids[i];
        receiver.parts = workers_[i]->parts();
        receiver.required = options_.required.empty() || options_.required[i];
    }
    FETCHER_INVARIANT(std::ranges::any_of(receivers_, &Receiver::required), "a consumer has at least one processor that is required");
}

PollLoop::End PollLoop::run(const std::atomic<bool>& stop) {
    counters_.state = PipelineSnapshot::State::running;
    counters_.last_progress = Clock::now();
    if (const auto subscribed = source_.subscribe(*this); !subscribed) fail(subscribed.error().reason);
    while (!stop.load(std::memory_order_acquire) && failure_.empty()) {
        take_acks();
        source_.serve();
        serve_cursors();
        renew_failed(Clock::now());
        go_back_to_cuts();
        begin_late();
        bool moved = drain_all();
        moved |= feed_those_behind();
        const auto now = Clock::now();
        moved |= let_stragglers_go(now);
        housekeep(now);
        if (!moved) wait_for([] { return true; }, std::min(next_commit_, next_publish_));
    }
    shut_down();
    return {failure_, outdated_};
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
    Receiver& receiver = receivers_[ack.processor];
    const std::string& processor = receiver.id;
    switch (ack.kind) {
        case Ack::Kind::given_back:
            take_back(ack, receiver);
            break;
        case Ack::Kind::durable:
            if (auto* partition = find(ack); partition && partition->tracker) {
                partition->tracker->durable(ack.processor, ack.offset);
                partition->shares[ack.processor].given.durable(ack.offset);
                counters_.last_progress = Clock::now();
            }
            break;
        case Ack::Kind::opened:
            if (auto* partition = find(ack); partition && partition->shares[ack.processor].state == Share::State::opening && !receiver.failed()) {
                partition->shares[ack.processor].state = Share::State::opened;
                partition->shares[ack.processor].position = std::move(ack.position);
                health_.clear("sink_blocked", processor);
                health_.clear("sink_failed", processor);
            }
            break;
        case Ack::Kind::blocked:
            counters_.errors++;
            if (!find(ack) || receiver.failed()) break;
            health_.clear("sink_failed", processor);
            health_.set(Severity::blocked, "sink_blocked", std::move(ack.text), processor, ack.next_try);
            break;
        case Ack::Kind::closed:
            if (auto* partition = find(ack); partition && partition->to_close > 0) {
                partition->to_close--;
                if (receiver.required) partition->required_to_close--;
            }
            break;
        case Ack::Kind::retrying:
            if (receiver.is_news(ack) && !receiver.failed()) health_.set(Severity::degraded, ack.code, std::move(ack.text), processor, ack.next_try);
            counters_.errors++;
            break;
        case Ack::Kind::recovered:
            if (receiver.is_news(ack)) health_.clear(ack.code, processor);
            break;
        case Ack::Kind::failed:
            receiver.required ? fail(std::move(ack.text)) : give_up_on(ack.processor, std::move(ack.text));
            break;
        case Ack::Kind::stopped:
            receiver.ended = true;
            break;
    }
}

void PollLoop::take_back(Ack& ack, Receiver& receiver) {
    Batch* batch = ack.batch;
    receiver.owing--;
    receiver.owing_bytes -= batch->capacity_bytes();
    if (receivers_.size() > 1) receiver.heard = Clock::now();
    ack.assignment = batch->assignment_ptr();
    if (auto* partition = find(ack)) {
        partition->shares[ack.processor].in_lane--;
        partition->shares[ack.processor].heard = receiver.heard;
    }
    if (--batch->lanes_owing == 0) pool_.put(batch);
}

// Sleeps until the doorbell has been answered with `done`, or the deadline. Rings of queues are consumed here, so all are looked at again.
void PollLoop::wait_for(const std::function<bool()>& done, TimePoint deadline) {
    take_acks();
    do {
        doorbell_.wait_until(deadline);
        take_acks();
    } while (!done() && Clock::now() < deadline);
    for (auto& [p, partition] : partitions_) {
        partition.more = true;
        if (behind_ == 0) continue;
        for (auto& share : partition.shares) share.more = true;
    }
}

// --- records flow ------------------------------------------------------------------------------------------------------------

// Several processors have at most half of the memory among those that do not answer, so that there is some for the others.
uint64_t PollLoop::most_bytes_owing() const {
    if (receivers_.size() == 1) return std::numeric_limits<uint64_t>::max();
    const uint64_t prefetched = memory_.bytes() - pool_.bytes();
    const uint64_t share = memory_.share_bytes();
    return (share - std::min(share, prefetched)) / (2 * (receivers_.size() - 1));
}

bool PollLoop::has_room(const AssignedPartition& partition, size_t i) const {
    const Receiver& receiver = receivers_[i];
    if (receiver.owing == 0) return true;
    return receiver.owing < Lane::kDepth && partition.shares[i].in_lane < Lane::share_of(partitions_.size()) &&
           receiver.owing_bytes < most_bytes_owing();
}

// One batch from each partition in turn, beginning behind the one that was last: all get their share of the credit.
bool PollLoop::drain_all() {
    bool moved = false;
    auto it = partitions_.upper_bound(drained_last_);
    for (size_t n = partitions_.size(); n > 0; n--, ++it) {
        if (it == partitions_.end()) it = partitions_.begin();
        AssignedPartition& partition = it->second;
        if (partition.state != AssignedPartition::State::flowing || !partition.more) continue;
        if (!drain(partition)) continue;
        moved = true;
        drained_last_ = it->first;
    }
    return moved;
}

Batch* PollLoop::read(PartitionQueue& queue, AssignedPartition& partition, int64_t from, LeaderEpoch& last, RecordParts parts, bool only_one, bool& more) {
    Batch* batch = pool_.try_take(only_one);
    if (!batch) return nullptr;
    const size_t capacity = batch->capacity_bytes();
    batch->begin(partition.assignment, from, last);
    const DrainResult drained = queue.drain(*batch, parts, BatchPool::kTargetBytes);
    pool_.account(batch, capacity);
    more = drained.more;
    if (drained.error) fail("partition " + std::to_string(partition.assignment->partition) + ": " + drained.error->reason);
    if (drained.cut) partition.cut = drained.cut;
    last = batch->leader_epoch(batch->next_offset());
    if (batch->next_offset() != from) return batch;
    pool_.put_unused(batch);
    return nullptr;
}

bool PollLoop::drain(AssignedPartition& partition) {
    if (partition.cut) return false;
    bool only_one = true;
    RecordParts parts;  // keys and headers are copied only while somebody shares who wants them
    for (size_t i = 0; i < receivers_.size(); i++) {
        const Receiver& receiver = receivers_[i];
        if (partition.shares[i].state != Share::State::sharing) continue;
        parts.keys |= receiver.parts.keys;
        parts.headers |= receiver.parts.headers;
        if (!receiver.required) continue;
        if (!has_room(partition, i)) return false;
        only_one &= receiver.owing == 0;
    }
    Batch* batch = read(*partition.queue, partition, partition.next_offset, partition.last, parts, only_one, partition.more);
    if (!batch) return false;
    note_epochs(partition, *batch);
    if (partition.cut) {
        pool_.put(batch);  // it is read again
        return false;
    }
    partition.next_offset = batch->next_offset();
    counters_.records += batch->size();
    counters_.bytes += batch->value_bytes();
    hand_over(batch, partition);
    return true;
}

// Once for a batch: with which epoch it may be committed, and whether it shows that somebody holds records which the log has no more.
void PollLoop::note_epochs(AssignedPartition& partition, const Batch& batch) {
    const auto& starts = batch.epochs.starts;
    LeaderEpoch& highest = partition.highest;
    for (size_t i = 0; i < starts.size(); i++) {
        if (highest.is_known() && starts[i].from < highest.end && starts[i].number > highest.number && !partition.cut)
            partition.cut = LogCut{std::max(starts[i].from, batch.first_offset()), highest.number};
        const LeaderEpoch last = batch.leader_epoch(i + 1 < starts.size() ? starts[i + 1].from : batch.next_offset());
        if (!last.is_known()) continue;
        auto& spans = partition.spans;
        if (spans.empty() || spans.back().number != last.number) spans.push_back({std::max(starts[i].from, batch.first_offset()), last.end, last.number});
        spans.back().end = last.end;
    }
    if (batch.next_offset() >= highest.end) highest = {};
}

void PollLoop::hand_over(Batch* batch, AssignedPartition& partition) {
    batch->lanes_owing = 0;
    for (size_t i = 0; i < receivers_.size(); i++) {
        Receiver& receiver = receivers_[i];
        const bool shares = partition.shares[i].state == Share::State::sharing;
        if (receiver.required ? shares : shares && has_room(partition, i)) give(batch, partition, i);
        else if (!receiver.required) receiver.dropped += batch->size();
    }
    FETCHER_INVARIANT(batch->lanes_owing > 0, "a partition flows for at least one processor");
}

void PollLoop::give(Batch* batch, AssignedPartition& partition, size_t i) {
    Receiver& receiver = receivers_[i];
    batch->lanes_owing++;
    receiver.owing++;
    receiver.owing_bytes += batch->capacity_bytes();
    partition.shares[i].in_lane++;
    if (!receiver.required) partition.shares[i].given.give(batch->first_offset(), batch->next_offset(), batch->size());
    receiver.give({.kind = LaneItem::Kind::batch, .batch = batch});
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
        log_ends_asked_ = now;
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
        if (!partition.tracker || partition.tracker->watermark() == OffsetTracker::kUnknown) continue;
        if (partition.tracker->watermark() == (wait ? partition.committed : partition.commit_asked)) continue;
        partition.commit_asked = partition.tracker->watermark();
        auto& spans = partition.spans;
        std::erase_if(spans, [&](const EpochSpan& span) { return span.end < partition.commit_asked; });
        const bool known = !spans.empty() && spans.front().from < partition.commit_asked;
        const LeaderEpoch& last = partition.last;
        const int32_t of_last = last.is_known() && last.end <= partition.commit_asked ? last.number : -1;
        dirty.push_back({p, partition.commit_asked, known ? spans.front().number : of_last});
    }
    if (dirty.empty()) return;
    if (!wait) return source_.commit_async(dirty);
    if (const auto done = source_.commit(dirty, kCommitTimeout); !done) on_committed({}, done.error().reason);
}

void PollLoop::on_committed(const std::vector<PartitionStart>& offsets, const std::string& error) {
    for (const auto& at : offsets) {
        if (const auto it = partitions_.find(at.partition); it != partitions_.end()) it->second.committed = at.offset;
    }
    if (error.empty()) {
        counters_.commits++;
        return health_.clear("commit_failed");
    }
    counters_.commit_failures++;
    health_.set(Severity::degraded, "commit_failed", "offsets could not be committed, the next commit covers them: " + error);
    for (auto& [p, partition] : partitions_) partition.commit_asked = partition.committed;
}

void PollLoop::on_log_ends(const std::map<int32_t, int64_t>& log_end_offsets, bool all) {
    if (all) health_.clear("broker_unreachable");
    for (const auto& [p, offset] : log_end_offsets) {
        const auto it = partitions_.find(p);
        if (it == partitions_.end()) continue;
        it->second.asked_log_end = offset;
        if (!it->second.first_end) it->second.first_end = offset;
    }
}

void PollLoop::on_trouble(const SourceTrouble& trouble) {
    // A connection that broke may be the first that is seen of a broker that is away: whether one answers is asked soon.
    next_log_ends_ = std::min(next_log_ends_, log_ends_asked_ + kLogEndIntervalInTrouble);
    switch (trouble.kind) {
        case SourceTrouble::Kind::broker_unreachable:
            return health_.set(Severity::degraded, "broker_unreachable", trouble.reason);
        case SourceTrouble::Kind::topic_missing:
            return fail("topic " + options_.topic + " is gone: " + trouble.reason);
        case SourceTrouble::Kind::outdated:
            outdated_ = outdated_ || failure_.empty();
            return fail(trouble.reason);
        case SourceTrouble::Kind::fatal:
            return fail(trouble.reason);
        case SourceTrouble::Kind::hiccup:
            return spdlog::debug("consumer {}: {}", options_.consumer_id, trouble.reason);
    }
}

int64_t PollLoop::log_end_of(const AssignedPartition& partition) const {
    return std::max({partition.asked_log_end, source_.fetched_log_end(partition.assignment->partition), partition.next_offset});
}

void PollLoop::publish() {
    tell_of_processors();
    PipelineSnapshot snapshot = counters_;
    for (const auto& [p, partition] : partitions_) {
        PartitionSnapshot s{.partition = p, .position = partition.next_offset, .committed = partition.committed};
        // While some sink has not said where it stands, the group's offset is what is known to be everywhere.
        if (partition.tracker) s.durable = partition.tracker->watermark() == OffsetTracker::kUnknown ? partition.committed : partition.tracker->watermark();
        s.log_end_offset = log_end_of(partition);
        if (s.log_end_offset >= 0 && s.durable >= 0) s.lag = std::max<int64_t>(0, s.log_end_offset - s.durable);
        snapshot.partitions.push_back(s);
    }
    for (size_t i = 0; i < receivers_.size(); i++) {
        ProcessorSnapshot s = receivers_[i].work();
        s.id = receivers_[i].id;
        s.queue_batches = static_cast<uint64_t>(receivers_[i].owing);
        s.lag = lag_of(i);
        s.dropped = receivers_[i].dropped;
        snapshot.processors.push_back(std::move(s));
    }
    snapshot.reasons = health_.reasons();
    // A sink that cannot be opened is an error of the consumer where records wait for it, and not where they flow to the others.
    const auto waits = [](const auto& entry) { return entry.second.state == AssignedPartition::State::opening; };
    if (!partitions_.empty() && std::ranges::none_of(partitions_, waits)) {
        for (auto& reason : snapshot.reasons)
            if (reason.severity == Severity::blocked) reason.severity = Severity::degraded;
    }
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
    const auto all_ended = [&] { return std::ranges::all_of(receivers_, &Receiver::ended); };
    while (!all_ended()) wait_for(all_ended, Clock::now() + kCloseTimeout);
    publish();
}

}  // namespace fetcher
