// GivenRecords: what a processor that is not required was given of a partition and has not made durable, so that what it loses can be counted.
//
// Of very many batches the last ones are one entry: then a part of it is counted by its offsets, as if there were none missing.
// Thread: poll
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

namespace fetcher {

class GivenRecords {
  public:
    // Records of [first, next), behind what was given before.
    void give(int64_t first, int64_t next, uint64_t records) {
        if (given_.size() < kMostEntries) return given_.push_back({first, next, records});
        given_.back().next = next;
        given_.back().records += records;
    }
    // Everything below is safe.
    void durable(int64_t offset) {
        while (!given_.empty() && given_.front().next <= offset) given_.pop_front();
        safe_ = std::max(safe_, offset);
    }
    // How many are not safe, of those below the offset.
    uint64_t lost_below(int64_t offset) const {
        uint64_t lost = 0;
        for (const auto& entry : given_) {
            const int64_t offsets = std::min(entry.next, offset) - std::max(entry.first, safe_);
            if (offsets > 0) lost += std::min(entry.records, static_cast<uint64_t>(offsets));
        }
        return lost;
    }
    void clear() { given_.clear(); }

  private:
    static constexpr size_t kMostEntries = 1'024;
    struct Entry {
        int64_t first, next;
        uint64_t records;
    };
    std::deque<Entry> given_;
    int64_t safe_ = -1;
};

}  // namespace fetcher
