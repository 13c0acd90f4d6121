// PollLoop: what a consumer's poll thread does once its topic is known. It is the only code that touches the Source, owns the
// partitions and decides commits; workers are reached through lanes, heard through acks, and one doorbell wakes it for everything.
//
// Nothing here waits without a deadline: a rebalance waits for sinks up to drain_timeout, a question to the broker up to kAskTimeout.
// Thread: poll
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/ack.h"
#include "engine/assigned_partition.h"
#include "engine/batch_pool.h"
#include "engine/health_board.h"
#include "engine/snapshot_board.h"
#include "engine/source.h"
#include "engine/worker.h"

namespace fetcher {

struct PollLoopOptions {
    std::string consumer_id;
    std::string group;
    std::string topic;
    std::string topic_id;
    bool latest = false;
    int32_t partitions = INT32_MAX;  // of the topic when it was found; `latest` is about them: all of a later one has come since
    std::chrono::milliseconds commit_interval{1'000};
    std::chrono::milliseconds drain_timeout{8'000};
    std::vector<std::string> processor_ids;  // one per worker
};

class PollLoop final : private SourceEvents {
  public:
    // Everything passed by reference outlives the loop.
    PollLoop(PollLoopOptions options, Source& source, std::vector<std::unique_ptr<Worker>>& workers, AckQueue& acks, Doorbell& doorbell,
             MemoryBudget::Member& memory, HealthBoard& health, SnapshotBoard& snapshots);

    // Runs until `stop`, or until something fails; then drains, commits, tells the workers to stop and leaves the group. Returns why it
    // failed, "" if it was stopped.
    std::string run(const std::atomic<bool>& stop);

  private:
    using TimePoint = Clock::time_point;

    void on_assigned(const std::vector<int32_t>& partitions) override;
    void on_revoked(const std::vector<int32_t>& partitions, bool lost) override;
    void on_committed(const std::vector<PartitionStart>& offsets, const std::string& error) override;
    void on_log_ends(const std::map<int32_t, int64_t>& log_end_offsets) override;
    void on_trouble(const SourceTrouble& trouble) override;

    // acks
    void take_acks();
    void take(Ack& ack);
    AssignedPartition* find(const Ack& ack);  // nullptr: of an assignment that is over
    void wait_for(const std::function<bool()>& done, TimePoint deadline);

    // partitions come
    void add_partition(int32_t partition);
    void ask_bounds_and_begin(const std::vector<int32_t>& partitions, std::vector<PartitionStart>& starts,
                              std::chrono::milliseconds timeout);
    bool begin(AssignedPartition& partition, const PartitionBounds& bounds, PartitionStart& start);
    void begin_late();
    // records flow
    bool drain_all();
    bool drain(AssignedPartition& partition);
    bool has_credit() const;
    void hand_over(Batch* batch);
    // partitions go
    void close_partitions(const std::vector<int32_t>& partitions, bool lost);
    // in between
    void housekeep(TimePoint now);
    void commit_dirty(bool wait);
    std::vector<int32_t> assigned() const;
    void publish();
    void shut_down();
    void fail(std::string why);

    const PollLoopOptions options_;
    Source& source_;
    std::vector<std::unique_ptr<Worker>>& workers_;
    AckQueue& acks_;
    Doorbell& doorbell_;
    BatchPool pool_;
    MemoryBudget::Member& memory_;
    HealthBoard& health_;
    SnapshotBoard& snapshots_;

    std::map<int32_t, AssignedPartition> partitions_;
    std::vector<int> owing_;  // by worker: batches it has not given back
    size_t stopped_workers_ = 0;
    RecordParts parts_;
    int32_t drained_last_ = -1;  // partition: the next round begins after it
    PipelineSnapshot counters_;
    std::string failure_;
    TimePoint next_late_begin_{};
    TimePoint next_commit_{};
    TimePoint next_log_ends_{};
    TimePoint next_publish_{};
};

}  // namespace fetcher
