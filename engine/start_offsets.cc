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

int64_t begin_without_position(const StartQuestion& q, std::vector<std::string>& gaps) {
    const int64_t by_policy = q.latest ? std::clamp(q.first_end, q.bounds.low, q.bounds.high) : q.bounds.low;
    if (q.bounds.committed_elsewhere) return first_of_new_topic(q, gaps);
    if (!q.bounds.committed) return by_policy;
    if (*q.bounds.committed > q.bounds.high) {
        gaps.push_back(in_partition(q) + "the group's committed offset " + std::to_string(*q.bounds.committed) + " lies beyond the log's end " +
                       std::to_string(q.bounds.high) + "; auto_offset_reset decides");
        return by_policy;
    }
    return within_log(*q.bounds.committed, q, gaps);
}

Result<int64_t> begin_of(const Position& position, const StartQuestion& q, std::vector<std::string>& gaps) {
    if (!position.topic_id.empty() && !q.topic_id.empty() && position.topic_id != q.topic_id) {
        return first_of_new_topic(q, gaps);
    }
    int64_t offset = position.next_offset;
    if (!position.authoritative && q.bounds.committed && *q.bounds.committed <= q.bounds.high) offset = std::max(offset, *q.bounds.committed);
    if (offset > q.bounds.high) {
        return fatal(in_partition(q) + "the sink holds everything below offset " + std::to_string(offset) + ", but the log ends at " +
                     std::to_string(q.bounds.high) +
                     ": the log was truncated, or this is another topic of the same name. Use a new consumer_group to start anew");
    }
    return within_log(offset, q, gaps);
}

}  // namespace

Result<StartDecision> decide_start(const StartQuestion& q) {
    StartDecision decision;
    for (const auto& position : q.positions) {
        if (!position) {
            decision.begin.push_back(begin_without_position(q, decision.gaps));
            continue;
        }
        const auto begin = begin_of(*position, q, decision.gaps);
        if (!begin) return tl::unexpected(begin.error());
        decision.begin.push_back(*begin);
    }
    const int64_t highest = *std::ranges::max_element(decision.begin);
    decision.read_from = highest;
    for (const int64_t begin : decision.begin)
        if (highest - begin <= kFarApart) decision.read_from = std::min(decision.read_from, begin);
    std::ranges::sort(decision.gaps);
    decision.gaps.erase(std::unique(decision.gaps.begin(), decision.gaps.end()), decision.gaps.end());
    return decision;
}

}  // namespace fetcher
