// PollLoop: what a consumer's poll thread does once its topic is known. It is the only code that touches the Source, owns the
// partitions and decides commits; workers are reached through lanes, heard through acks, and one doorbell wakes it for everything.
//
// Each partition is read once for all processors that share; one that would hold the others up stops sharing and is fed from a cursor of its
// own until it has caught up (poll_loop_behind.cc). Of one processor, none of this exists. One that is not required and fails for good is
// made anew after a while (poll_loop_best_effort.cc).
//
// Nothing here waits without a deadline: a rebalance waits for sinks up to drain_timeout, a question to the broker up to kAskTimeout.
// Thread: poll
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/ack.h"
#include "engine/assigned_partition.h"
#include "engine/batch_pool.h"
#include "engine/cursor.h"
#include "engine/health_board.h"
#include "engine/poll_loop_options.h"
#include "engine/receiver.h"
#include "engine/snapshot_board.h"
#include "engine/source.h"
#include "engine/start_offsets.h"
#include "engine/worker.h"

namespace fetcher {

class PollLoop final : private SourceEvents {
  public:
    // Everything passed by reference outlives the loop.
    PollLoop(PollLoopOptions options, Source& source, std::vector<std::unique_ptr<Worker>>& workers, AckQueue& acks, Doorbell& doorbell,
             MemoryBudget::Member& memory, HealthBoard& health, SnapshotBoard& snapshots);

    struct End { std::string why; bool outdated = false; };  // "": it was stopped; outdated: nothing failed, a new client will find the cluster
    // Runs until `stop`, or until something fails; then drains, commits, tells the workers to stop and leaves the group.
    End run(const std::atomic<bool>& stop);

  private:
    using TimePoint = Clock::time_point;

    void on_assigned(const std::vector<int32_t>& partitions) override;
    void on_revoked(const std::vector<int32_t>& partitions, bool lost) override;
    void on_committed(const std::vector<PartitionStart>& offsets, const std::string& error) override;
    void on_log_ends(const std::map<int32_t, int64_t>& log_end_offsets, bool all) override;
    void on_trouble(const SourceTrouble& trouble) override;

    // acks
    void take_acks();
    void take(Ack& ack);
    void take_back(Ack& ack, Receiver& receiver);
    AssignedPartition* find(const Ack& ack);  // nullptr: of an assignment that is over
    void wait_for(const std::function<bool()>& done, TimePoint deadline);

    // partitions come
    void add_partition(int32_t partition, std::optional<LogCut> cut = std::nullopt);
    void ask_bounds_and_begin(const std::vector<int32_t>& partitions, std::vector<PartitionStart>& starts, std::chrono::milliseconds timeout);
    bool may_begin(const AssignedPartition& partition, TimePoint now) const;
    StartQuestion question_of(const AssignedPartition& partition, const PartitionBounds& bounds) const;
    bool begin(AssignedPartition& partition, const PartitionBounds& bounds, PartitionStart& start);
    bool join(AssignedPartition& partition, size_t i, const PartitionBounds& bounds);
    void begin_share(AssignedPartition& partition, size_t i, int64_t offset);
    void note_gaps(const std::vector<std::string>& gaps);
    void begin_late();
    void go_back_to_cuts();
    // records flow
    bool drain_all();
    bool drain(AssignedPartition& partition);
    // nullptr: no credit, or nothing new. `from` is where the batch begins; `last`, of the record before, becomes that of its last one.
    Batch* read(PartitionQueue& queue, AssignedPartition& partition, int64_t from, LeaderEpoch& last, RecordParts parts, bool only_one, bool& more);
    void note_epochs(AssignedPartition& partition, const Batch& batch);
    bool has_room(const AssignedPartition& partition, size_t i) const;
    uint64_t most_bytes_owing() const;
    void hand_over(Batch* batch, AssignedPartition& partition);
    void give(Batch* batch, AssignedPartition& partition, size_t i);
    // one falls behind, and catches up
    bool let_stragglers_go(TimePoint now);
    bool keeps_waiting(const AssignedPartition& partition, size_t i) const;
    void fall_behind(AssignedPartition& partition, size_t i, int64_t next);
    bool feed_those_behind();
    bool feed(AssignedPartition& partition, size_t i);
    bool begin_reading_for(size_t i);
    void rejoin(AssignedPartition& partition, size_t i);
    void stop_reading_for(AssignedPartition& partition, size_t i);
    void serve_cursors();
    uint64_t backlog_bytes(size_t i) const;
    int64_t lag_of(size_t i) const;
    void tell_of_processors();
    // one that is not required fails, and is made anew
    void give_up_on(size_t i, std::string why);
    void put_off_renewal(Receiver& receiver, std::string why);
    void count_lost(AssignedPartition& partition, size_t i);
    void renew_failed(TimePoint now);
    void renew(size_t i, TimePoint now);
    // partitions go
    void close_partitions(const std::vector<int32_t>& partitions, bool lost);
    // in between
    void housekeep(TimePoint now);
    void commit_dirty(bool wait);
    std::vector<int32_t> assigned() const;
    int64_t log_end_of(const AssignedPartition& partition) const;
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
    std::vector<Receiver> receivers_;          // by worker
    size_t behind_ = 0;                        // shares that are
    bool unsettled_ = false;                   // some partition or share has not begun
    std::vector<std::future<void>> leaving_;   // cursors that are being destroyed
    int32_t drained_last_ = -1;  // partition: the next round begins after it
    PipelineSnapshot counters_;
    std::string failure_;
    bool outdated_ = false;  // that is what failure_ says
    TimePoint next_late_begin_{};
    TimePoint next_commit_{};
    TimePoint log_ends_asked_{};
    TimePoint next_log_ends_{};
    TimePoint next_publish_{};
    TimePoint next_look_{};  // for stragglers
};

}  // namespace fetcher
