// OffsetTracker: what may be committed for one assigned partition: the lowest of what its processors hold durably.
//
// Processors acknowledge cumulatively ("everything below this offset is durable"), so one number per processor is the whole state; there
// is no ring of batches. Offsets have gaps: they are compared, never computed with. Pure, no I/O.
// Thread: poll
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fetcher {

class OffsetTracker {
  public:
    // `positions`: where each processor stands when the partition begins to flow, at least one.
    explicit OffsetTracker(std::vector<int64_t> positions);

    // Processor `i` holds everything below next_offset. One that is lower than the last changes nothing: a sink may acknowledge from two
    // threads, and their acks come in no particular order.
    void durable(size_t i, int64_t next_offset);
    int64_t watermark() const { return watermark_; }

  private:
    std::vector<int64_t> positions_;
    int64_t watermark_;
};

}  // namespace fetcher
