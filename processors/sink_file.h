// SinkFile: one file that records are delivered into exactly once, with its checkpoint, its rotation and the partitions that share it.
//
// A sync point: data is synced, then the checkpoint with the data's length and every partition's position, then both are acknowledged.
// The worker decides when (fsync_interval after the first record that is not safe yet) and what it covers; the sync thread does it.
// Thread: worker; make_durable(), fail(), failure() any
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "engine/processor.h"
#include "processors/record_encoder.h"
#include "processors/sink_opening.h"
#include "processors/sync_thread.h"

namespace fetcher {

struct SinkFileOptions {
    RootedPath path;
    SinkFormat format;
    uint64_t rotate_bytes = 0;                     // 0: never
    std::chrono::milliseconds rotate_interval{0};  // 0: never
    std::chrono::milliseconds fsync_interval{100};
    SinkOwner owner;
};

class SinkFile final : public SyncTarget {
  public:
    // calls and sync outlive the object.
    static Result<std::unique_ptr<SinkFile>> open(SystemCalls& calls, SyncThread& sync, const SinkFileOptions& options);
    ~SinkFile() override;  // what is not durable is dropped: the next opening cuts it off

    // A partition begins to write here. Returns its position, which is durable.
    Result<std::optional<Position>> add(const std::shared_ptr<Assignment>& assignment);
    void remove(const Assignment& assignment) { cursors_.erase(assignment.partition); }
    bool is_unused() const { return cursors_.empty(); }

    // As Processor's functions of these names.
    Outcome write(const Batch& batch, size_t first);
    Outcome flush();
    std::optional<Clock::time_point> wake_at() const;
    Outcome on_timer();

    Result<void> make_durable(const SyncPoint& point) override;
    void fail(const Error& error) override;
    std::optional<Error> failure() const override;

  private:
    // A partition that writes here.
    struct Cursor {
        std::shared_ptr<Assignment> assignment;
        int64_t next_offset = Positions::kNone;  // below it everything is in the file; kNone: nothing came yet
        Positions::Entry* stored = nullptr;      // in state_.positions, from the first record on
    };
    // How far a rotation has come; from `announced` on nothing is appended until it is over.
    enum class Rotation { none, announced, renamed };

    SinkFile(SystemCalls& calls, SyncThread& sync, SinkFileOptions options, OpenedSink opened);

    Result<void> make_room_for(const std::shared_ptr<Assignment>& assignment);
    Result<void> prepare_write();
    Result<size_t> write_some(const Batch& batch, size_t first);  // returns the next record; may be `first` when it has to rotate
    Result<void> append_newline_if_missing();
    void advance(Cursor& cursor, int64_t next_offset, const Batch& batch);

    bool rotation_due() const;
    Result<void> rotate();
    Result<std::string> free_rotated_name();
    Result<void> begin_next();
    void note_first_byte();

    bool sync_due() const;
    Result<SyncPoint> take_sync_point();  // everything accepted so far is in the file and below the point's length
    Result<void> request_sync();
    Result<void> sync_now();
    Outcome outcome_of(const Error& error);

    SystemCalls& calls_;
    SyncThread& sync_;
    const SinkFileOptions options_;
    OpenedSink files_;
    RecordEncoder encoder_;
    CheckpointState state_;  // as it will be at the next sync; positions run ahead of what is durable
    std::unordered_map<int32_t, Cursor> cursors_;
    std::unordered_set<int32_t> advanced_;  // partitions whose position this object has moved
    Rotation rotation_ = Rotation::none;
    std::string rotating_to_;
    bool newline_checked_ = false;  // that the file as we found it ends in a newline
    bool rotation_wanted_ = false;  // the next record does not fit, or the format has changed
    std::optional<Clock::time_point> begun_at_;     // of the file's first byte
    std::optional<Clock::time_point> dirty_since_;  // of the first record no sync was asked for
    std::optional<Clock::time_point> retry_at_;     // after an error in on_timer()
    bool all_durable_ = true;                       // no sync is waiting or at work, and nothing is dirty
    uint64_t requested_bytes_ = 0;                  // length of the last sync point
    std::atomic<bool> failed_{false};
    mutable std::mutex failure_mutex_;  // touched once, when all is over
    Error failure_;
};

}  // namespace fetcher
