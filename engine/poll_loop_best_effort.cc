// The part of the poll loop for processors that are not required: one that fails for good is dropped from the flow, its worker ends, and after
// a pause a new one takes its place, which is opened as at an assignment.
#include <spdlog/spdlog.h>

#include "engine/poll_loop.h"

namespace fetcher {

using Severity = HealthReason::Severity;

// Its worker ends first, and with it its threads and whatever it holds.
void PollLoop::give_up_on(size_t i, std::string why) {
    Receiver& receiver = receivers_[i];
    counters_.errors++;
    if (receiver.failed()) return;
    receiver.worker->abandon();
    for (auto& [p, partition] : partitions_) {
        partition.shares[i].state = Share::State::opening;
        partition.shares[i].position.reset();
    }
    if (receiver.opened_at != TimePoint{} && Clock::now() - receiver.opened_at >= options_.reopen.healthy_after) {
        receiver.reopen.reset();
        receiver.failures = 0;
    }
    health_.clear("sink_blocked", receiver.id);
    for (const auto& [code, turn] : receiver.turns) health_.clear(std::string(code), receiver.id);
    put_off_renewal(receiver, std::move(why));
}

void PollLoop::put_off_renewal(Receiver& receiver, std::string why) {
    const auto pause = receiver.reopen.next();
    const bool gives_up = options_.reopen.attempts && receiver.failures >= *options_.reopen.attempts;
    receiver.failures++;
    receiver.reopen_at = gives_up ? TimePoint::max() : Clock::now() + pause;
    receiver.failure = why.empty() ? "it has failed and does not say why" : std::move(why);
    std::optional<std::chrono::system_clock::time_point> next_try;
    if (!gives_up) next_try = std::chrono::system_clock::now() + pause;
    health_.set(Severity::degraded, "sink_failed",
                receiver.failure + "; it is not required, so the others go on, and its records are dropped until it is open again" +
                    (gives_up ? ", which is not tried again by itself (restart.attempts); POST …/restart does" : ""),
                receiver.id, next_try);
    spdlog::error("consumer {}: processor {}, which is not required, has failed: {}", options_.consumer_id, receiver.id, receiver.failure);
}

// What it was given and will never hold. Of a partition that goes, what nobody has committed comes again.
void PollLoop::count_lost(AssignedPartition& partition, size_t i) {
    if (!partition.tracker) return;
    Share& share = partition.shares[i];
    const bool goes = partition.state == AssignedPartition::State::closing;
    receivers_[i].dropped += share.given.lost_below(goes ? partition.tracker->watermark() : partition.next_offset);
    share.given.clear();
}

void PollLoop::renew_failed(TimePoint now) {
    for (size_t i = 0; i < receivers_.size(); i++) {
        Receiver& receiver = receivers_[i];
        if (!receiver.failed() || !receiver.ended) continue;
        // Only now: its worker's acks have all been taken.
        for (auto& [p, partition] : partitions_) count_lost(partition, i);
        if (now >= receiver.reopen_at) renew(i, now);
    }
}

void PollLoop::renew(size_t i, TimePoint now) {
    Receiver& receiver = receivers_[i];
    auto made = options_.renew_worker(i);
    if (!made) return put_off_renewal(receiver, std::move(made.error().reason));
    receiver.before = receiver.work();
    workers_[i] = std::move(*made);
    receiver.worker = workers_[i].get();
    receiver.ended = false;
    receiver.turns.clear();
    receiver.failure.clear();
    receiver.opened_at = now;
    for (auto& [p, partition] : partitions_) receiver.give({.kind = LaneItem::Kind::open, .assignment = partition.assignment});
    unsettled_ |= !partitions_.empty();
    if (partitions_.empty()) health_.clear("sink_failed", receiver.id);
}

}  // namespace fetcher
