#include "engine/start_offsets.h"

#include <algorithm>

namespace fetcher {
namespace {

std::string in_partition(const StartQuestion& q) { return "partition " + std::to_string(q.partition) + ": "; }

// An offset that is not in the log any more is moved to its first one, and said so.
int64_t within_log(int64_t offset, const StartQuestion& q, std::vector<std::string>& gaps) {
    if (offset >= q.bounds.low) return offset;
    gaps.push_back(in_partition(q) + "offsets " + std::to_string(offset) + " to " + std::to_string(q.bounds.low - 1) +
                   " were removed from the log (retention) before they were read");
    return q.bounds.low;
}

int64_t first_of_new_topic(const StartQuestion& q, std::vector<std::string>& gaps) {
    gaps.push_back(in_partition(q) + "the topic was deleted and created anew; its records are read from the first one on");
    return q.bounds.low;
}

struct Begin {
    int64_t offset = 0;
    LeaderEpoch last{};
};

Begin before_cut(const Begin& begin, const StartQuestion& q) {
    return q.cut && q.cut->concerns(begin.offset, begin.last) ? Begin{q.cut->offset} : begin;
}

std::optional<Begin> committed(const StartQuestion& q) {
    if (!q.bounds.committed) return std::nullopt;
    const int64_t offset = *q.bounds.committed;
    return before_cut({offset, q.bounds.committed_epoch < 0 ? LeaderEpoch{} : LeaderEpoch{q.bounds.committed_epoch, offset}}, q);
}

// Where the log has it. What the log has no more, of that it cannot be asked.
Begin within_log(Begin begin, const StartQuestion& q, std::vector<std::string>& gaps) {
    if (begin.last.end < q.bounds.low) begin.last = {};
    begin.offset = within_log(begin.offset, q, gaps);
    return begin;
}

Result<Begin> begin_without_position(const StartQuestion& q, std::vector<std::string>& gaps) {
    const int64_t by_policy = q.latest ? std::clamp(q.first_end, q.bounds.low, q.bounds.high) : q.bounds.low;
    if (q.bounds.committed_elsewhere) return Begin{first_of_new_topic(q, gaps)};
    const auto found = committed(q);
    if (!found) return Begin{by_policy};
    if (found->offset > q.bounds.high) {
        gaps.push_back(in_partition(q) + "the group's committed offset " + std::to_string(*q.bounds.committed) + " lies beyond the log's end " +
                       std::to_string(q.bounds.high) + "; auto_offset_reset decides");
        return Begin{by_policy};
    }
    return within_log(*found, q, gaps);
}

Result<Begin> begin_of(const Position& position, const StartQuestion& q, std::vector<std::string>& gaps) {
    if (!position.topic_id.empty() && !q.topic_id.empty() && position.topic_id != q.topic_id) return Begin{first_of_new_topic(q, gaps)};
    Begin begin = before_cut({position.next_offset, position.last}, q);
    if (const auto of_group = committed(q); of_group && of_group->offset <= q.bounds.high) {
        // A commit that is further and yet of an earlier leader is of a log that was cut.
        const bool outdated = of_group->last.is_known() && of_group->last.number < begin.last.number;
        if (!position.authoritative && of_group->offset > begin.offset && !outdated) begin = *of_group;
        else if (of_group->offset == begin.offset && !begin.last.is_known()) begin.last = of_group->last;
    }
    if (begin.offset > q.bounds.high) {
        return fatal(in_partition(q) + "the sink holds everything below offset " + std::to_string(begin.offset) + ", but the log ends at " +
                     std::to_string(q.bounds.high) +
                     ": the log was truncated, or this is another topic of the same name. Use a new consumer_group to start anew");
    }
    return within_log(begin, q, gaps);
}

}  // namespace

Result<StartDecision> decide_start(const StartQuestion& q) {
    StartDecision decision;
    for (const auto& position : q.positions) {
        const auto begin = position ? begin_of(*position, q, decision.gaps) : begin_without_position(q, decision.gaps);
        if (!begin) return tl::unexpected(begin.error());
        decision.begin.push_back(begin->offset);
        decision.last.push_back(begin->last);
    }
    const int64_t highest = *std::ranges::max_element(decision.begin);
    decision.read_from = highest;
    for (const int64_t begin : decision.begin)
        if (highest - begin <= kFarApart) decision.read_from = std::min(decision.read_from, begin);
    std::ranges::sort(decision.gaps);
    decision.gaps.erase(std::unique(decision.gaps.begin(), decision.gaps.end()), decision.gaps.end());
    return decision;
}

PartitionStart start_behind(int32_t partition, int64_t begin, const LeaderEpoch& last) {
    return last.is_known() ? PartitionStart{partition, std::min(begin, last.end), last.number} : PartitionStart{partition, begin};
}

}  // namespace fetcher
