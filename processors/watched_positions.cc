#include "processors/watched_positions.h"

#include <algorithm>

namespace fetcher {

void WatchedPositions::watch(const std::shared_ptr<Assignment>& assignment, const std::string& topic_id, std::optional<int64_t> next) {
    const std::lock_guard lock(mutex_);
    std::erase_if(watched_, [&](const Watched& watched) { return watched.assignment->partition == assignment->partition; });
    watched_.push_back({assignment, topic_id, next, true, {}});
}

void WatchedPositions::note(const PositionMove& move, std::optional<int64_t> next, bool inherited) {
    const std::lock_guard lock(mutex_);
    for (auto& watched : watched_) {
        if (watched.assignment != move.assignment) continue;
        watched.next = next;
        watched.inherited &= inherited;
        watched.unanswered.clear();
    }
}

void WatchedPositions::note_unanswered(const RowBlock& block) {
    const auto ends = block.step_ends();
    const std::lock_guard lock(mutex_);
    for (size_t m = 0; m < ends.size(); m++) {
        const auto& move = block.moves()[m];
        for (auto& watched : watched_) {
            if (move.dropped || watched.assignment != move.assignment || std::ranges::find(watched.unanswered, ends[m]) != watched.unanswered.end()) continue;
            watched.unanswered.push_back(ends[m]);
        }
    }
}

bool WatchedPositions::may_be_ours(const Assignment& assignment, int64_t next) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(watched_, &assignment, [](const Watched& watched) { return watched.assignment.get(); });
    if (found == watched_.end()) return true;
    return found->inherited || std::ranges::find(found->unanswered, next) != found->unanswered.end();
}

std::vector<BlockTransaction::Expected> WatchedPositions::expected() {
    const std::lock_guard lock(mutex_);
    std::erase_if(watched_, [](const Watched& watched) { return watched.assignment->revoked.load(); });
    std::vector<BlockTransaction::Expected> all;
    for (const auto& watched : watched_)
        if (watched.next) all.push_back({watched.assignment->partition, watched.topic_id, *watched.next});
    return all;
}

}  // namespace fetcher
