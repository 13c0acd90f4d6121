// DeliveryQueue: what a forwarder's threads share: the feeds of all partitions, which range is sent next, and what becomes of it.
//
// The worker adds batches and waits; each sender takes a job, sends it, and tells how it went. Nothing here does I/O but RangeMemory's small
// writes. One lock; it is never held while something is sent.
// Thread: any
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/backoff.h"
#include "engine/processor.h"
#include "processors/http_connection.h"
#include "processors/partition_feed.h"
#include "processors/range_memory.h"
#include "processors/request_limit.h"

namespace fetcher {

class DeliveryQueue {
    struct Feed;

  public:
    struct Options {
        RangeLimits limits;
        size_t max_in_flight = 1;
        std::chrono::milliseconds longest_request{0};  // after which a request is given up, whatever the library thinks
        std::string endpoint;                          // for people
        RetryPolicy retry;
        bool singly = false;  // a request holds one record, whatever was sent before
    };
    // One request. The range does not change until finish() or retry().
    class Job {
      public:
        const RecordRange& range() const { return *range_; }
        std::string key() const;

      private:
        friend class DeliveryQueue;
        std::shared_ptr<Feed> feed_;
        RecordRange* range_ = nullptr;
        size_t sender_ = 0;
    };

    explicit DeliveryQueue(Options options);
    void bind(Acks& acks) { acks_ = &acks; }

    // --- the worker's side ---------------------------------------------------------------------------------------------
    // memory: nullptr where there is no place for one.
    void open(const std::shared_ptr<Assignment>& assignment, std::unique_ptr<RangeMemory> memory);
    void add(const Batch& batch, size_t first);
    // Waits until everything is delivered, or cannot be, or a partition was revoked, for `pause` at most. True: no need to wait on.
    bool wait_drained(std::chrono::milliseconds pause);
    // Called under the lock, so that a sender has not gone on to another job; does not wait.
    using Abort = std::function<void(size_t sender)>;
    // Forgets the partition. Aborts the senders that are busy with it.
    void close(int32_t partition, const Abort& abort);
    // Aborts senders whose request takes longer than it may.
    void abort_overdue(const Abort& abort) const;
    bool busy() const;
    void stop();       // next() returns nothing any more
    void drop_all();   // gives all batches back; no sender runs any more

    // --- the senders' side ---------------------------------------------------------------------------------------------
    // Waits for something to send; nullopt: the end.
    std::optional<Job> next(size_t sender);
    // excerpt: the beginning of the answer's body, fit to be shown.
    void finish(const Job& job, const HttpAnswer& answer, const std::string& excerpt);
    void retry(const Job& job, const std::string& why);
    // No request can succeed: the consumer ends with this reason.
    void fail(const std::string& why);

  private:
    using TimePoint = Clock::time_point;
    struct Feed {
        explicit Feed(RangeLimits limits) : ranges(limits) {}
        std::shared_ptr<Assignment> assignment;
        PartitionFeed ranges;
        std::unique_ptr<RangeMemory> memory;
        size_t in_flight = 0;
        int64_t told = -1;  // position that was acknowledged last
        TimePoint told_at{};
        bool closed = false;
        bool stuck = false;    // a record was refused: nothing behind it is sent
        bool failing = false;  // a range of it waits to be tried again
    };
    struct Sending {
        std::shared_ptr<Feed> feed;
        TimePoint since{};
    };

    std::unique_lock<std::mutex> lock_soon();
    std::optional<Job> take(TimePoint now, size_t sender);
    bool remember(Feed& feed, RecordRange& range, TimePoint now);
    TimePoint ready_at() const;
    void wait(std::unique_lock<std::mutex>& lock, TimePoint until);
    bool hurried(const Feed& feed) const;
    void rouse();
    bool release(const Job& job);
    void settle(Feed& feed);
    void tell(Feed& feed);
    void put_off(const Job& job, std::optional<std::chrono::milliseconds> asked, const std::string& why);
    void refuse(std::unique_lock<std::mutex>& lock, const Job& job, const std::string& why);
    void fail_locked(const std::string& why);
    void note_recovery(Feed& feed);
    std::chrono::milliseconds pause_after(int tries);
    void give_back(const Batch& batch);

    const Options options_;
    Acks* acks_ = nullptr;
    mutable std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable drained_;
    std::map<int32_t, std::shared_ptr<Feed>> feeds_;
    std::vector<Sending> sending_;  // by sender
    RequestLimit limit_;
    size_t active_ = 0;
    size_t waiting_ = 0;  // senders
    size_t held_ = 0;     // batches
    int32_t taken_last_ = -1;  // partition: the next look begins after it
    TimePoint pause_until_{};
    TimePoint leader_wake_ = TimePoint::max();  // until when the one sender waits that looks after what becomes due
    bool draining_ = false;
    bool stopped_ = false;
    bool dead_ = false;
    std::minstd_rand random_{jitter_seed()};
};

}  // namespace fetcher
