// OffsetTracker: what may be committed for one assigned partition: the lowest of what its processors hold durably.
//
// Processors acknowledge cumulatively ("everything below this offset is durable"), so one number per processor is the whole state; there
// is no ring of batches. Offsets have gaps: they are compared, never computed with. Pure, no I/O.
//
// A processor whose position is not known yet keeps everything from being committed; one that is not required counts for nothing.
// Thread: poll
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fetcher {

class OffsetTracker {
  public:
    static constexpr int64_t kUnknown = -1;

    // `positions`: where each processor stands when the partition begins to flow, at least one. `required`: which of them count, at least
    // one; empty: all.
    explicit OffsetTracker(std::vector<int64_t> positions, std::vector<bool> required = {});

    // Processor `i` holds everything below next_offset, or begins there. One that is lower than the last changes nothing: a sink may acknowledge from two
    // threads, and their acks come in no particular order.
    void durable(size_t i, int64_t next_offset);
    int64_t watermark() const { return watermark_; }  // kUnknown: nothing may be committed
    int64_t position(size_t i) const { return positions_[i]; }

  private:
    int64_t lowest() const;

    std::vector<int64_t> positions_;
    std::vector<bool> required_;
    int64_t watermark_;
};

}  // namespace fetcher
