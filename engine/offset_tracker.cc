#include "engine/offset_tracker.h"

#include <algorithm>
#include <limits>

#include "engine/result.h"

namespace fetcher {

OffsetTracker::OffsetTracker(std::vector<int64_t> positions, std::vector<bool> required)
    : positions_(std::move(positions)), required_(std::move(required)), watermark_(kUnknown) {
    if (required_.empty()) required_.assign(positions_.size(), true);
    FETCHER_INVARIANT(required_.size() == positions_.size() && std::ranges::find(required_, true) != required_.end(),
                      "a partition has at least one processor that is required");
    watermark_ = lowest();
}

int64_t OffsetTracker::lowest() const {
    int64_t least = std::numeric_limits<int64_t>::max();
    for (size_t i = 0; i < positions_.size(); i++)
        if (required_[i]) least = std::min(least, positions_[i]);
    return least;
}

void OffsetTracker::durable(size_t i, int64_t next_offset) {
    FETCHER_INVARIANT(i < positions_.size(), "an ack comes from a processor of this consumer");
    if (next_offset <= positions_[i]) return;
    positions_[i] = next_offset;
    if (required_[i]) watermark_ = lowest();
}

}  // namespace fetcher
