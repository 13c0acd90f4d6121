// The part of the poll loop that partitions come and go through.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "engine/poll_loop.h"
#include "engine/start_offsets.h"

namespace fetcher {
namespace {

// How long an assignment waits for the sinks, and for an answer of the broker, before it goes on without. Briefly while other partitions
// flow, since nothing is drained meanwhile: begin_late() makes up for it.
constexpr std::chrono::milliseconds kOpenWait{2'000};
constexpr std::chrono::milliseconds kBriefOpenWait{100};
constexpr std::chrono::milliseconds kAskTimeout{5'000};
constexpr std::chrono::milliseconds kBriefAskTimeout{1'000};

std::atomic<uint64_t> next_epoch{1};

using Severity = HealthReason::Severity;

}  // namespace

// --- partitions come ---------------------------------------------------------------------------------------------------------

void PollLoop::on_assigned(const std::vector<int32_t>& partitions) {
    counters_.rebalances++;
    for (const int32_t p : partitions) add_partition(p);
    const auto all_opened = [&] {
        return !failure_.empty() || std::ranges::all_of(partitions, [&](int32_t p) { return partitions_.at(p).all_opened(); });
    };
    const bool others_flow = partitions_.size() > partitions.size();
    if (!partitions.empty()) wait_for(all_opened, Clock::now() + (others_flow ? kBriefOpenWait : kOpenWait));
    std::vector<PartitionStart> starts;
    ask_bounds_and_begin(partitions, starts, others_flow ? kBriefAskTimeout : kAskTimeout);
    source_.assign(starts);
    spdlog::info("consumer {}: {} partitions of {} assigned", options_.consumer_id, partitions.size(), options_.topic);
}

void PollLoop::add_partition(int32_t p) {
    FETCHER_INVARIANT(!partitions_.contains(p), "a partition is assigned once at a time");
    AssignedPartition& partition = partitions_[p];
    partition.assignment = std::make_shared<Assignment>();
    partition.assignment->consumer_id = options_.consumer_id;
    partition.assignment->group = options_.group;
    partition.assignment->topic = options_.topic;
    partition.assignment->topic_id = options_.topic_id;
    partition.assignment->partition = p;
    partition.assignment->epoch = next_epoch++;
    partition.queue = source_.queue(p);
    partition.positions.resize(workers_.size());
    partition.opened.resize(workers_.size());
    partition.to_open = workers_.size();
    for (auto& worker : workers_) worker->lane().push({.kind = LaneItem::Kind::open, .assignment = partition.assignment});
}

// Fills starts with every partition. One that cannot begin yet is assigned and not drained: begin_late() moves it.
void PollLoop::ask_bounds_and_begin(const std::vector<int32_t>& partitions, std::vector<PartitionStart>& starts,
                                    std::chrono::milliseconds timeout) {
    if (partitions.empty()) return;
    const auto bounds = source_.bounds(partitions, timeout);
    if (!bounds) health_.set(Severity::degraded, "broker_unreachable", bounds.error().reason);
    for (const int32_t p : partitions) {
        AssignedPartition& partition = partitions_.at(p);
        PartitionStart start{p, bounds ? bounds->at(p).high : kNotKnownYet};
        if (bounds) partition.first_end = bounds->at(p).high;
        if (bounds && partition.all_opened()) begin(partition, bounds->at(p), start);
        starts.push_back(start);
    }
}

// False after a failure. start.offset is where reading begins.
bool PollLoop::begin(AssignedPartition& partition, const PartitionBounds& bounds, PartitionStart& start) {
    const int32_t p = partition.assignment->partition;
    const StartQuestion question{p,      options_.topic_id,   bounds, options_.latest && p < options_.partitions, partition.first_end.value_or(bounds.high),
                                 partition.positions};
    const auto decision = decide_start(question);
    if (!decision) {
        fail(decision.error().reason);
        return false;
    }
    for (const auto& gap : decision->gaps) {
        counters_.gaps++;
        health_.set(Severity::noted, "offset_gap", gap);
        spdlog::error("consumer {}: {} {}", options_.consumer_id, options_.topic, gap);
    }
    for (size_t i = 0; i < workers_.size(); i++) {
        workers_[i]->lane().push({.kind = LaneItem::Kind::begin, .assignment = partition.assignment, .offset = decision->begin[i]});
    }
    partition.tracker.emplace(decision->begin);
    partition.next_offset = start.offset = decision->read_from;
    partition.committed = partition.commit_asked = bounds.committed.value_or(-1);
    partition.asked_log_end = bounds.high;
    partition.state = AssignedPartition::State::flowing;
    return true;
}

// Those whose sinks or broker did not answer while they were assigned.
void PollLoop::begin_late() {
    if (Clock::now() < next_late_begin_) return;
    std::vector<int32_t> ready;
    for (const auto& [p, partition] : partitions_) {
        if (partition.state == AssignedPartition::State::opening && partition.all_opened()) ready.push_back(p);
    }
    if (ready.empty()) return;
    const auto bounds = source_.bounds(ready, kBriefAskTimeout);
    if (!bounds) {
        health_.set(Severity::degraded, "broker_unreachable", bounds.error().reason);
        next_late_begin_ = Clock::now() + kBriefAskTimeout;
        return;
    }
    for (const int32_t p : ready) {
        PartitionStart start{p, 0};
        if (!begin(partitions_.at(p), bounds->at(p), start)) return;
        if (const auto sought = source_.seek(start, kBriefAskTimeout); !sought) return fail(sought.error().reason);
    }
}

// --- partitions go -------------------------------------------------------------------------------------------------------------

void PollLoop::on_revoked(const std::vector<int32_t>& partitions, bool lost) {
    counters_.rebalances++;
    close_partitions(partitions, lost);
    source_.unassign(partitions);
    spdlog::info("consumer {}: {} partitions of {} {}", options_.consumer_id, partitions.size(), options_.topic, lost ? "lost" : "revoked");
}

// Lets the sinks make durable what they have, commits it, and forgets the partitions. Lost ones belong to somebody else already: what is
// in flight is dropped where the sink has not begun it, and nothing is committed.
void PollLoop::close_partitions(const std::vector<int32_t>& partitions, bool lost) {
    std::vector<AssignedPartition*> closing;
    for (const int32_t p : partitions) {
        const auto it = partitions_.find(p);
        if (it == partitions_.end()) continue;
        AssignedPartition& partition = it->second;
        partition.state = AssignedPartition::State::closing;
        partition.to_close = workers_.size();
        partition.assignment->closing.store(true, std::memory_order_release);
        if (lost) partition.assignment->revoked.store(true, std::memory_order_release);
        for (auto& worker : workers_) worker->lane().push({.kind = LaneItem::Kind::close, .assignment = partition.assignment});
        closing.push_back(&partition);
    }
    if (closing.empty()) return;
    const auto all_closed = [&] { return std::ranges::all_of(closing, [](const auto* p) { return p->to_close == 0; }); };
    wait_for(all_closed, Clock::now() + options_.drain_timeout);
    for (auto* partition : closing) partition->assignment->revoked.store(true, std::memory_order_release);
    for (auto& worker : workers_) worker->lane().wake();
    if (!lost) commit_dirty(true);
    for (const int32_t p : partitions) partitions_.erase(p);
    // What stood in the way may have gone with them; a sink that is still stuck says so again at its next try.
    for (const auto& id : options_.processor_ids) health_.clear_processor(id);
}

}  // namespace fetcher
