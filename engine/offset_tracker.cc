#include "engine/offset_tracker.h"

#include <algorithm>

#include "engine/result.h"

namespace fetcher {

OffsetTracker::OffsetTracker(std::vector<int64_t> positions) : positions_(std::move(positions)), watermark_(0) {
    FETCHER_INVARIANT(!positions_.empty(), "a partition has at least one processor");
    watermark_ = *std::ranges::min_element(positions_);
}

void OffsetTracker::durable(size_t i, int64_t next_offset) {
    FETCHER_INVARIANT(i < positions_.size(), "an ack comes from a processor of this consumer");
    if (next_offset <= positions_[i]) return;
    positions_[i] = next_offset;
    watermark_ = *std::ranges::min_element(positions_);
}

}  // namespace fetcher
