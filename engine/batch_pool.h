// BatchPool: the batches of one consumer, charged to its share of the memory budget by capacity.
//
// A batch that comes back is used again first (it is still in the cache). No batch to be had means no credit: the poll thread stops
// draining Kafka's queues, which is the backpressure.
// Thread: poll
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "engine/batch.h"
#include "engine/memory_budget.h"

namespace fetcher {

class BatchPool {
  public:
    static constexpr size_t kTargetBytes = 256 << 10;  // of values: large enough to make hand-overs rare, small enough for the L2 cache
    static constexpr size_t kMaxBatches = 64;          // 16 MiB of values: more in flight makes nothing faster

    explicit BatchPool(MemoryBudget::Member& member, size_t max_batches = kMaxBatches) : member_(member), max_batches_(max_batches) {}
    ~BatchPool();

    // nullptr: no credit. There is always credit for one that is to be the only one on its way: so everybody goes on, and a record larger than
    // the share moves, whoever holds the rest.
    Batch* try_take(bool only_one = false);
    void put_unused(Batch* batch);  // taken, but nothing was drained into it
    void put(Batch* batch);   // given back by its last lane
    void account(Batch* batch, size_t capacity_before);  // it grew while it was filled
    size_t in_flight() const { return all_ - spare_.size(); }
    uint64_t bytes() const { return bytes_; }  // of all of them, as charged

  private:
    void destroy(Batch* batch);

    MemoryBudget::Member& member_;
    const size_t max_batches_;
    std::vector<Batch*> spare_;
    size_t all_ = 0;
    uint64_t bytes_ = 0;
};

}  // namespace fetcher
