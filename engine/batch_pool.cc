#include "engine/batch_pool.h"

#include "engine/result.h"

namespace fetcher {

BatchPool::~BatchPool() {
    for (Batch* batch : spare_) destroy(batch);
}

Batch* BatchPool::try_take(bool only_one) {
    only_one |= in_flight() == 0;
    // Batches that grew for large records count in full: no more until some are back.
    if (!only_one && member_.over_share()) return nullptr;
    if (!spare_.empty()) {
        Batch* batch = spare_.back();
        spare_.pop_back();
        return batch;
    }
    if (!only_one && all_ >= max_batches_) return nullptr;
    // Values at their target, and an index for records of 100 B: both grow if they must.
    constexpr size_t kRecords = kTargetBytes / 100;
    constexpr size_t kExpectedBytes = kTargetBytes + kTargetBytes / 4 + kRecords * 40;
    if (only_one) {
        member_.charge(kExpectedBytes);
    } else if (!member_.try_charge(kExpectedBytes)) {
        return nullptr;
    }
    auto batch = std::make_unique<Batch>();
    batch->reserve(kTargetBytes + kTargetBytes / 4, kRecords);
    member_.charge(batch->capacity_bytes());
    bytes_ += batch->capacity_bytes();
    member_.release(kExpectedBytes);
    all_++;
    return batch.release();
}

void BatchPool::put_unused(Batch* batch) { spare_.push_back(batch); }

void BatchPool::put(Batch* batch) {
    FETCHER_INVARIANT(batch->lanes_owing == 0, "a batch is given back by its last lane");
    batch->end();
    // One that grew for a huge record, or that another consumer's share needs now, is not kept.
    if (batch->capacity_bytes() > 4 * kTargetBytes || member_.over_share()) {
        destroy(batch);
    } else {
        spare_.push_back(batch);
    }
}

void BatchPool::account(Batch* batch, size_t capacity_before) {
    const size_t now = batch->capacity_bytes();
    if (now <= capacity_before) return;
    member_.charge(now - capacity_before);
    bytes_ += now - capacity_before;
}

void BatchPool::destroy(Batch* batch) {
    member_.release(batch->capacity_bytes());
    bytes_ -= batch->capacity_bytes();
    all_--;
    delete batch;
}

}  // namespace fetcher
