// Cursor: a second reading of some partitions, for one processor that has fallen behind, beside the reading that all share.
//
// It has a Source of its own, which is no member of the group, and charges what that may prefetch to the consumer's memory. Its records
// come in offset order from where it was told to begin; who knows when it has caught up is the poll loop.
// Thread: poll
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>

#include "engine/memory_budget.h"
#include "engine/source.h"

namespace fetcher {

class Cursor final : private SourceEvents {
  public:
    // Makes a Source that is no member of the group; the argument is the most it may hold of each partition, in bytes.
    using MakeSource = std::function<Result<std::unique_ptr<Source>>(uint64_t)>;

    // `memory` outlives it.
    static Result<std::unique_ptr<Cursor>> open(const MakeSource& make, uint64_t prefetch_bytes, MemoryBudget::Member& memory);
    ~Cursor() override;
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;

    void add(const PartitionStart& start);
    void give_up(int32_t partition);
    // nullptr: it does not read this partition.
    PartitionQueue* queue(int32_t partition) const;
    size_t partitions() const { return queues_.size(); }
    uint64_t prefetch_bytes() const { return prefetch_bytes_; }  // of each partition
    // Answers of the client, which is asked now and then: one that has lost its brokers would not say so. Returns why it is of no use any more, nullopt if it goes on.
    const std::optional<SourceTrouble>& serve();
    // Destroys it on a thread of its own, because the end of a Kafka client may take a while. Whoever has the future outlives that.
    static std::future<void> dissolve(std::unique_ptr<Cursor> cursor);

  private:
    Cursor(std::unique_ptr<Source> source, uint64_t prefetch_bytes, MemoryBudget::Member& memory);
    void on_assigned(const std::vector<int32_t>&) override {}
    void on_revoked(const std::vector<int32_t>&, bool) override {}
    void on_committed(const std::vector<PartitionStart>&, const std::string&) override {}
    void on_log_ends(const std::map<int32_t, int64_t>&, bool) override {}
    void on_trouble(const SourceTrouble& trouble) override;

    std::unique_ptr<Source> source_;
    const uint64_t prefetch_bytes_;
    MemoryBudget::Member& memory_;
    std::map<int32_t, std::unique_ptr<PartitionQueue>> queues_;
    std::optional<SourceTrouble> end_;
    std::chrono::steady_clock::time_point next_question_{};
};

}  // namespace fetcher
