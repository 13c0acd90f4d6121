// The part of the poll loop that keeps one processor from holding up the others.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "engine/poll_loop.h"

namespace fetcher {
namespace {

constexpr std::chrono::milliseconds kLookInterval{100};
constexpr std::chrono::milliseconds kAskTimeout{1'000};
constexpr std::chrono::milliseconds kCursorRetry{1'000};
constexpr uint64_t kLeastPrefetch = 64 << 10;  // of a partition
constexpr uint64_t kMostPrefetch = 2 << 20;

using Severity = HealthReason::Severity;
using State = Share::State;

}  // namespace

// --- one falls behind ----------------------------------------------------------------------------------------------------------

// Whether the partition's next batch waits for this worker alone: it has no room, another has, and there is something to read.
bool PollLoop::keeps_waiting(const AssignedPartition& partition, size_t i) const {
    if (partition.shares[i].state != State::sharing || !receivers_[i].required || has_room(partition, i)) return false;
    for (size_t j = 0; j < receivers_.size(); j++) {
        if (receivers_[j].required && partition.shares[j].state == State::sharing && has_room(partition, j)) {
            return log_end_of(partition) > partition.next_offset;
        }
    }
    return false;
}

// After the partitions were drained as far as there is room. True if somebody waits no more.
bool PollLoop::let_stragglers_go(TimePoint now) {
    if (receivers_.size() == 1 || now < next_look_) return false;
    next_look_ = now + kLookInterval;
    bool any = false;
    for (auto& [p, partition] : partitions_) {
        if (partition.state != AssignedPartition::State::flowing) continue;
        for (size_t i = 0; i < receivers_.size(); i++) {
            Share& share = partition.shares[i];
            if (!keeps_waiting(partition, i)) {
                share.blocking = {};
                continue;
            }
            if (share.blocking == TimePoint{}) share.blocking = now;
            const auto silent = [&](TimePoint heard) { return now - std::max(share.blocking, heard); };
            const bool stuck = silent(receivers_[i].heard) >= options_.stuck_after || silent(share.heard) >= options_.stuck_partition_after;
            if (!stuck && (now - share.blocking < options_.backlogged_after || backlog_bytes(i) <= memory_.share_bytes())) continue;
            share.last = partition.last;
            fall_behind(partition, i, partition.next_offset);
            any = true;
        }
    }
    return any;
}

// What the worker's sink does not hold yet, by the size of the records so far.
uint64_t PollLoop::backlog_bytes(size_t i) const {
    const uint64_t mean = counters_.records == 0 ? 0 : counters_.bytes / counters_.records;
    return mean * static_cast<uint64_t>(std::max<int64_t>(0, lag_of(i)));
}

int64_t PollLoop::lag_of(size_t i) const {
    int64_t lag = partitions_.empty() ? -1 : 0;
    for (const auto& [p, partition] : partitions_) {
        if (!partition.tracker || partition.tracker->position(i) == OffsetTracker::kUnknown) return -1;
        lag += std::max<int64_t>(0, log_end_of(partition) - partition.tracker->position(i));
    }
    return lag;
}

void PollLoop::fall_behind(AssignedPartition& partition, size_t i, int64_t next) {
    Share& share = partition.shares[i];
    share.state = State::behind;
    share.next = next;
    share.more = true;
    share.blocking = {};
    behind_++;
    const Receiver& receiver = receivers_[i];
    if (receivers_[i].behind++ == 0) {
        spdlog::warn("consumer {}: processor {} has fallen behind: it is read for by itself until it has caught up", options_.consumer_id, receiver.id);
    }
    spdlog::debug("consumer {}: processor {} is behind in partition {} from offset {} on", options_.consumer_id, receiver.id,
                  partition.assignment->partition, next);
}

// --- and catches up ------------------------------------------------------------------------------------------------------------

void PollLoop::serve_cursors() {
    if (behind_ == 0) return;
    for (auto& receiver : receivers_) {
        if (!receiver.cursor) continue;
        if (const auto& trouble = receiver.cursor->serve()) on_trouble(*trouble);
    }
}

// One batch from each partition that is behind, for each worker that has room.
bool PollLoop::feed_those_behind() {
    if (behind_ == 0) return false;
    bool moved = false;
    for (size_t i = 0; i < receivers_.size(); i++) {
        if (receivers_[i].behind == 0) continue;
        for (auto& [p, partition] : partitions_) {
            if (partition.shares[i].state == State::behind && has_room(partition, i)) moved |= feed(partition, i);
        }
        moved |= begin_reading_for(i);
    }
    return moved;
}

bool PollLoop::feed(AssignedPartition& partition, size_t i) {
    Receiver& receiver = receivers_[i];
    Share& share = partition.shares[i];
    if (share.next < partition.next_offset) {
        auto* queue = receiver.cursor ? receiver.cursor->queue(partition.assignment->partition) : nullptr;
        if (!queue || !share.more || partition.cut) return false;
        Batch* batch = read(*queue, partition, share.next, share.last, receiver.parts, receiver.owing == 0, share.more);
        if (!batch) return false;
        if (partition.cut) {
            pool_.put(batch);
            return false;
        }
        share.next = batch->next_offset();
        batch->lanes_owing = 0;
        give(batch, partition, i);
    }
    // It may have come further than the others: what it has, the worker skips.
    if (share.next >= partition.next_offset) rejoin(partition, i);
    return true;
}

// Begins to read partitions for a worker, when it has room: as long as its sink does not answer, no more is fetched for it. True if there
// is something to do.
bool PollLoop::begin_reading_for(size_t i) {
    Receiver& receiver = receivers_[i];
    if (Clock::now() < receiver.next_cursor_try) return false;
    std::vector<int32_t> wanted;
    for (auto& [p, partition] : partitions_) {
        const bool read = receiver.cursor && receiver.cursor->queue(p);
        if (partition.shares[i].state == State::behind && !read && has_room(partition, i)) wanted.push_back(p);
    }
    if (wanted.empty()) return false;

    // All its prefetching takes at most an eighth of the memory: of many partitions, some are read first.
    const uint64_t most = memory_.share_bytes() / 8;
    const size_t reading = receiver.cursor ? receiver.cursor->partitions() : 0;
    const uint64_t of_each = receiver.cursor ? receiver.cursor->prefetch_bytes() : std::clamp(most / receiver.behind, kLeastPrefetch, kMostPrefetch);
    const size_t most_partitions = std::max<size_t>(1, most / of_each);
    if (reading >= most_partitions) return false;
    if (wanted.size() > most_partitions - reading) wanted.resize(most_partitions - reading);

    const auto bounds = source_.bounds(wanted, kAskTimeout);
    if (bounds && !receiver.cursor) {
        auto cursor = Cursor::open(options_.make_cursor_source, of_each, memory_);
        if (cursor) receiver.cursor = std::move(*cursor);
        else spdlog::error("consumer {}: no second cursor for processor {}: {}", options_.consumer_id, receiver.id, cursor.error().reason);
    }
    if (!bounds || !receiver.cursor) {
        receiver.next_cursor_try = Clock::now() + kCursorRetry;
        return false;
    }
    for (const int32_t p : wanted) {
        Share& share = partitions_.at(p).shares[i];
        if (const int64_t low = bounds->at(p).low; low > share.next) {
            note_gaps({"partition " + std::to_string(p) + ": offsets " + std::to_string(share.next) + " to " + std::to_string(low - 1) +
                       " were removed from the log (retention) before processor " + receiver.id + ", which is behind, could take them"});
            share.next = low;
            share.last = {};
        }
        share.more = true;
        receiver.cursor->add(start_behind(p, share.next, share.last));
    }
    return true;
}

void PollLoop::rejoin(AssignedPartition& partition, size_t i) {
    stop_reading_for(partition, i);
    if (receivers_[i].behind == 0) spdlog::info("consumer {}: processor {} has caught up", options_.consumer_id, receivers_[i].id);
}

void PollLoop::stop_reading_for(AssignedPartition& partition, size_t i) {
    if (partition.shares[i].state != State::behind) return;
    partition.shares[i].state = State::sharing;
    behind_--;
    Receiver& receiver = receivers_[i];
    receiver.behind--;
    if (!receiver.cursor) return;
    receiver.cursor->give_up(partition.assignment->partition);
    if (receiver.behind == 0) leaving_.push_back(Cursor::dissolve(std::move(receiver.cursor)));
}

// --- what is told of it ---------------------------------------------------------------------------------------------------------

void PollLoop::tell_of_processors() {
    if (receivers_.size() == 1) return;
    std::erase_if(leaving_, [](const auto& done) { return done.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
    for (size_t i = 0; i < receivers_.size(); i++) {
        const Receiver& receiver = receivers_[i];
        if (receiver.behind == 0) {
            health_.clear("behind", receiver.id);
            continue;
        }
        int64_t records = 0;
        for (const auto& [p, partition] : partitions_)
            if (partition.shares[i].state == State::behind) records += log_end_of(partition) - partition.tracker->position(i);
        health_.set(Severity::degraded, "behind",
                    "it has fallen behind by " + std::to_string(records) + " records, because its sink is slow or does not answer; the others go on, "
                    "and it is read for by itself until it has caught up",
                    receiver.id);
    }
}

}  // namespace fetcher
