// Lane: the bounded single-producer, single-consumer queue from the poll thread to one processor's worker.
//
// Batches in a lane are bounded by credit: the poll thread counts what a worker has not given back (kDepth). Control items
// (open, begin, close, stop) are few and never refused. Order is kept over both kinds.
// Thread: push() poll; try_pop() and wait_until() worker; wake() any
#pragma once

#include <readerwriterqueue/readerwriterqueue.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/assignment.h"
#include "engine/batch.h"
#include "engine/doorbell.h"

namespace fetcher {

struct LaneItem {
    enum class Kind : uint8_t {
        open,   // ask the processor where it stands in the assignment's partition
        begin,  // batches follow; the processor sees nothing below `offset`
        batch,
        close,  // flush, then give the partition up
        stop,   // nothing follows
    };
    Kind kind = Kind::stop;
    std::shared_ptr<Assignment> assignment;
    Batch* batch = nullptr;
    int64_t offset = 0;
};

class Lane {
  public:
    static constexpr int kDepth = 32;  // batches
    // What one of so many partitions may have of them: those that come later find room too, and a processor that delivers partitions side by
    // side is kept busy.
    static constexpr int share_of(size_t partitions) {
        constexpr int kLeast = 2;
        return partitions < 2 ? kDepth : std::max(kLeast, static_cast<int>(kDepth / partitions));
    }

    void push(LaneItem item) {
        queue_.enqueue(std::move(item));
        bell_.ring();
    }
    bool try_pop(LaneItem& into) { return queue_.try_dequeue(into); }
    void wait_until(std::chrono::steady_clock::time_point deadline) { bell_.wait_until(deadline); }
    void wake() { bell_.ring(); }

  private:
    moodycamel::ReaderWriterQueue<LaneItem> queue_{kDepth * 2};
    Doorbell bell_;
};

}  // namespace fetcher
