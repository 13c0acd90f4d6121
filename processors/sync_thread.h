// SyncThread: makes files durable behind the worker's back, so that an fdatasync never stops the writing.
//
// One sync at a time. A file's newer request replaces its waiting one, so however slow the disk is, at most one waits per file. The
// thread starts with the first request. Its mutex is taken once per request and once per sync, never while the disk is at work.
// Thread: request(), run(), wait_for() worker
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "engine/processor.h"
#include "processors/checkpoint_state.h"

namespace fetcher {

// What one sync covers.
struct SyncPoint {
    CheckpointState state;  // its length and positions; the tail is filled in by the sync
    std::vector<std::pair<std::shared_ptr<Assignment>, int64_t>> acks;  // what is durable afterwards
};

// A file as the sync thread sees it.
class SyncTarget {
  public:
    virtual ~SyncTarget() = default;
    // Data first, then the checkpoint. Never called again after an error: a failed fsync has dropped what it did not write.
    virtual Result<void> make_durable(const SyncPoint& point) = 0;
    // Remembers why the file must not be used any more.
    virtual void fail(const Error& error) = 0;
    virtual std::optional<Error> failure() const = 0;
};

class SyncThread {
  public:
    SyncThread() = default;
    ~SyncThread();  // finishes the sync at work, drops what waits
    SyncThread(const SyncThread&) = delete;
    SyncThread& operator=(const SyncThread&) = delete;

    void bind(Acks& acks) { acks_ = &acks; }

    // Returns at once. The target outlives the sync: call wait_for() before it goes.
    void request(SyncTarget& target, SyncPoint point);
    // Does it on this thread, when no other sync of this target is at work; `point` covers what waited. Acknowledges like the thread.
    Result<void> run(SyncTarget& target, const SyncPoint& point);
    // Returns when no sync of this target is at work; drops the one that waits.
    void wait_for(const SyncTarget& target);

  private:
    void loop();
    Result<void> perform(SyncTarget& target, const SyncPoint& point);
    void drop_waiting(const SyncTarget& target);

    Acks* acks_ = nullptr;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::pair<SyncTarget*, SyncPoint>> waiting_;  // guarded by mutex_, like the next two
    const SyncTarget* at_work_ = nullptr;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace fetcher
