// The part of the poll loop that partitions come and go through.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "engine/poll_loop.h"

namespace fetcher {
namespace {

// How long an assignment waits for the sinks, and for an answer of the broker, before it goes on without. Briefly while other partitions
// flow, since nothing is drained meanwhile, and for processors that are not required: begin_late() makes up for it.
constexpr std::chrono::milliseconds kOpenWait{2'000};
constexpr std::chrono::milliseconds kBriefOpenWait{100};
constexpr std::chrono::milliseconds kBestEffortCloseWait{1'000};
constexpr std::chrono::milliseconds kAskTimeout{5'000};
constexpr std::chrono::milliseconds kBriefAskTimeout{1'000};
constexpr std::chrono::milliseconds kLateBeginPause{100};

std::atomic<uint64_t> next_epoch{1};

using Severity = HealthReason::Severity;

}  // namespace

// --- partitions come ---------------------------------------------------------------------------------------------------------

void PollLoop::on_assigned(const std::vector<int32_t>& partitions) {
    counters_.rebalances++;
    for (const int32_t p : partitions) add_partition(p);
    const auto opened = [&](bool only_required) {
        if (!failure_.empty()) return true;
        return std::ranges::all_of(partitions, [&](int32_t p) {
            const auto& shares = partitions_.at(p).shares;
            for (size_t i = 0; i < shares.size(); i++) {
                if (shares[i].state != Share::State::opening || receivers_[i].failed()) continue;
                if (receivers_[i].required || !only_required) return false;
            }
            return true;
        });
    };
    const bool others_flow = partitions_.size() > partitions.size();
    if (!partitions.empty()) wait_for([&] { return opened(false); }, Clock::now() + kBriefOpenWait);
    if (!others_flow && !opened(true)) wait_for([&] { return opened(true); }, Clock::now() + kOpenWait - kBriefOpenWait);
    std::vector<PartitionStart> starts;
    ask_bounds_and_begin(partitions, starts, others_flow ? kBriefAskTimeout : kAskTimeout);
    source_.assign(starts);
    spdlog::info("consumer {}: {} partitions of {} assigned", options_.consumer_id, partitions.size(), options_.topic);
}

void PollLoop::add_partition(int32_t p, std::optional<LogCut> cut) {
    FETCHER_INVARIANT(!partitions_.contains(p), "a partition is assigned once at a time");
    AssignedPartition& partition = partitions_[p];
    partition.assignment = std::make_shared<Assignment>();
    partition.assignment->consumer_id = options_.consumer_id;
    partition.assignment->group = options_.group;
    partition.assignment->topic = options_.topic;
    partition.assignment->topic_id = options_.topic_id;
    partition.assignment->partition = p;
    partition.assignment->epoch = next_epoch++;
    partition.assignment->cut = cut;
    partition.queue = source_.queue(p);
    partition.shares.resize(receivers_.size());
    partition.patience = Clock::now() + kOpenWait;
    unsettled_ = true;
    for (auto& receiver : receivers_)
        if (!receiver.failed()) receiver.give({.kind = LaneItem::Kind::open, .assignment = partition.assignment});
}

// Fills starts with every partition. One that cannot begin yet is assigned and not drained: begin_late() moves it.
void PollLoop::ask_bounds_and_begin(const std::vector<int32_t>& partitions, std::vector<PartitionStart>& starts,
                                    std::chrono::milliseconds timeout) {
    if (partitions.empty()) return;
    const auto bounds = source_.bounds(partitions, timeout);
    if (bounds) health_.clear("broker_unreachable");
    else health_.set(Severity::degraded, "broker_unreachable", bounds.error().reason);
    for (const int32_t p : partitions) {
        AssignedPartition& partition = partitions_.at(p);
        PartitionStart start{p, bounds ? bounds->at(p).high : kNotKnownYet};
        if (bounds) partition.first_end = bounds->at(p).high;
        if (bounds && may_begin(partition, Clock::now())) begin(partition, bounds->at(p), start);
        starts.push_back(start);
    }
}

// With those whose sinks have answered, once the others have had their time.
bool PollLoop::may_begin(const AssignedPartition& partition, TimePoint now) const {
    bool any = false;
    bool all = true;
    for (size_t i = 0; i < receivers_.size(); i++) {
        if (!receivers_[i].required) continue;
        const bool opened = partition.shares[i].state == Share::State::opened;
        any |= opened;
        all &= opened;
    }
    return any && (all || now >= partition.patience);
}

StartQuestion PollLoop::question_of(const AssignedPartition& partition, const PartitionBounds& bounds) const {
    const int32_t p = partition.assignment->partition;
    return {p, options_.topic_id, bounds, options_.latest && p < options_.partitions, partition.first_end.value_or(bounds.high), {},
            partition.assignment->cut};
}

// False after a failure. `start` is where reading begins.
bool PollLoop::begin(AssignedPartition& partition, const PartitionBounds& bounds, PartitionStart& start) {
    StartQuestion question = question_of(partition, bounds);
    std::vector<size_t> beginning;
    std::vector<bool> required;
    for (size_t i = 0; i < receivers_.size(); i++) {
        required.push_back(receivers_[i].required);
        if (!receivers_[i].required || partition.shares[i].state != Share::State::opened) continue;
        beginning.push_back(i);
        question.positions.push_back(partition.shares[i].position);
    }
    const auto decision = decide_start(question);
    if (!decision) {
        fail(decision.error().reason);
        return false;
    }
    note_gaps(decision->gaps);
    partition.tracker.emplace(std::vector<int64_t>(receivers_.size(), OffsetTracker::kUnknown), std::move(required));
    partition.next_offset = decision->read_from;
    partition.last = {};
    for (size_t n = 0; n < beginning.size(); n++)
        if (decision->begin[n] == decision->read_from && decision->last[n].end > partition.last.end) partition.last = decision->last[n];
    start = start_behind(start.partition, decision->read_from, partition.last);
    partition.committed = partition.commit_asked = bounds.committed.value_or(-1);
    partition.asked_log_end = bounds.high;
    partition.state = AssignedPartition::State::flowing;
    for (size_t n = 0; n < beginning.size(); n++) {
        partition.shares[beginning[n]].last = decision->last[n];
        begin_share(partition, beginning[n], decision->begin[n]);
    }
    for (size_t i = 0; i < receivers_.size(); i++)
        if (partition.shares[i].state == Share::State::opened && !join(partition, i, bounds)) return false;
    return true;
}

void PollLoop::note_gaps(const std::vector<std::string>& gaps) {
    for (const auto& gap : gaps) {
        counters_.gaps++;
        health_.set(Severity::noted, "offset_gap", gap);
        spdlog::error("consumer {}: {} {}", options_.consumer_id, options_.topic, gap);
    }
}

// A processor comes to a partition that flows: at its own position, behind the others if need be. One that is not required begins where
// they are: what lies before that was read without it, and counted then. False after a failure of the consumer.
bool PollLoop::join(AssignedPartition& partition, size_t i, const PartitionBounds& bounds) {
    Receiver& receiver = receivers_[i];
    StartQuestion question = question_of(partition, bounds);
    question.positions.push_back(partition.shares[i].position);
    const auto decision = decide_start(question);
    if (!decision) {
        receiver.required ? fail(decision.error().reason) : give_up_on(i, decision.error().reason);
        return !receiver.required;
    }
    if (receiver.required) note_gaps(decision->gaps);
    const int64_t offset = decision->begin.front();
    partition.shares[i].last = decision->last.front();
    begin_share(partition, i, receiver.required ? offset : std::max(offset, partition.next_offset));
    return true;
}

void PollLoop::begin_share(AssignedPartition& partition, size_t i, int64_t offset) {
    receivers_[i].give({.kind = LaneItem::Kind::begin, .assignment = partition.assignment, .offset = offset});
    partition.tracker->durable(i, offset);
    Share& share = partition.shares[i];
    share.given.durable(offset);
    share.state = Share::State::sharing;
    if (share.last.end > std::max(partition.next_offset, partition.highest.end)) partition.highest = share.last;
    if (offset < partition.next_offset) fall_behind(partition, i, offset);
}

// Those whose sinks or broker did not answer while they were assigned.
void PollLoop::begin_late() {
    const auto now = Clock::now();
    if (!unsettled_ || now < next_late_begin_) return;
    std::vector<int32_t> ready;
    unsettled_ = false;
    for (const auto& [p, partition] : partitions_) {
        using State = AssignedPartition::State;
        const auto has = [&](Share::State state) {
            for (size_t i = 0; i < receivers_.size(); i++)
                if (partition.shares[i].state == state && !receivers_[i].failed()) return true;
            return false;
        };
        unsettled_ |= partition.state == State::opening || has(Share::State::opening) || has(Share::State::opened);
        if (partition.state == State::opening ? may_begin(partition, now) : has(Share::State::opened)) ready.push_back(p);
    }
    if (ready.empty()) return;
    const auto bounds = source_.bounds(ready, kBriefAskTimeout);
    if (!bounds) {
        health_.set(Severity::degraded, "broker_unreachable", bounds.error().reason);
        // A question holds the flowing partitions up: at most half of the time is spent on it.
        const auto answered = Clock::now();
        next_late_begin_ = answered + (answered - now) + kLateBeginPause;
        return;
    }
    health_.clear("broker_unreachable");
    for (const int32_t p : ready) {
        AssignedPartition& partition = partitions_.at(p);
        if (partition.state == AssignedPartition::State::flowing) {
            for (size_t i = 0; i < receivers_.size(); i++)
                if (partition.shares[i].state == Share::State::opened && !join(partition, i, bounds->at(p))) return;
            continue;
        }
        PartitionStart start{p, 0};
        if (!begin(partition, bounds->at(p), start)) return;
        if (partition.assignment->cut) {
            std::vector<PartitionStart> all;
            for (const auto& [q, other] : partitions_) {
                const bool flows = other.state == AssignedPartition::State::flowing;
                all.push_back(q == p ? start : flows ? start_behind(q, other.next_offset, other.last) : PartitionStart{q, kNotKnownYet});
            }
            source_.restart(p, all);
            continue;
        }
        if (const auto sought = source_.seek(start, kBriefAskTimeout); !sought) return fail(sought.error().reason);
    }
}

// Where a log was cut and has grown again: the partition is opened anew, and the sinks that hold what is gone go back to the cut.
void PollLoop::go_back_to_cuts() {
    std::vector<int32_t> gone_back;
    std::map<int32_t, std::pair<LogCut, int64_t>> cuts;
    for (const auto& [p, partition] : partitions_) {
        if (!partition.cut || partition.state != AssignedPartition::State::flowing) continue;
        const LogCut cut = *partition.cut;
        const int64_t first_end = std::min(cut.offset, partition.first_end.value_or(cut.offset));
        const std::string from = std::to_string(cut.offset);
        note_gaps({"partition " + std::to_string(p) + ": the log was cut at offset " + from +
                   " (a leader without the latest records took over, or a broker was restored from a backup) and has grown again; what it holds now is read from "
                   "offset " + from + " on, and the former records from there on, which it has no more, stay where they were delivered"});
        gone_back.push_back(p);
        cuts[p] = {cut, first_end};
    }
    if (gone_back.empty()) return;
    close_partitions(gone_back, false);  // all at once: each may wait for its sinks
    for (const auto& [p, cut] : cuts) {
        add_partition(p, cut.first);
        partitions_.at(p).first_end = cut.second;
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
        partition.assignment->closing.store(true, std::memory_order_release);
        partition.to_close = static_cast<size_t>(std::ranges::count(receivers_, false, &Receiver::failed));
        partition.required_to_close = static_cast<size_t>(std::ranges::count(receivers_, true, &Receiver::required));
        for (size_t i = 0; i < receivers_.size(); i++) stop_reading_for(partition, i);
        if (lost) partition.assignment->revoked.store(true, std::memory_order_release);
        for (auto& receiver : receivers_)
            if (!receiver.failed()) receiver.give({.kind = LaneItem::Kind::close, .assignment = partition.assignment});
        closing.push_back(&partition);
    }
    if (closing.empty()) return;
    const auto all_closed = [&](size_t AssignedPartition::*to_close) {
        return [&closing, to_close] { return std::ranges::all_of(closing, [&](const auto* p) { return p->*to_close == 0; }); };
    };
    const auto until = Clock::now() + options_.drain_timeout;
    const auto required_closed = all_closed(&AssignedPartition::required_to_close);
    wait_for(all_closed(&AssignedPartition::to_close), std::min(until, Clock::now() + kBestEffortCloseWait));
    if (!required_closed()) wait_for(required_closed, until);
    for (auto* partition : closing) partition->assignment->revoked.store(true, std::memory_order_release);
    for (auto& receiver : receivers_) receiver.worker->lane().wake();
    if (!lost) commit_dirty(true);
    for (size_t i = 0; i < receivers_.size(); i++)
        for (auto* partition : closing) count_lost(*partition, i);
    for (const int32_t p : partitions) partitions_.erase(p);
    // What stood in the way may have gone with them; a sink that is still stuck says so again at its next try.
    for (const auto& receiver : receivers_)
        if (!receiver.failed()) health_.clear_processor(receiver.id);
}

}  // namespace fetcher
