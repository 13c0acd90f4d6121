// Worker: the thread of one processor of one consumer. Pops its lane, calls the processor, retries with backoff, acknowledges.
//
// It skips what the processor already has, so that several processors of a consumer share one reading although each stands elsewhere.
// A batch of a revoked assignment is given back unwritten. Records that the processor refuses become dead letters before anything behind
// them is acknowledged; without a destination for them, the first one ends the consumer.
// Threads: constructor, start() admin; lane() see lane.h; snapshot() any
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/ack.h"
#include "engine/backoff.h"
#include "engine/dead_letters.h"
#include "engine/lane.h"
#include "engine/pipeline_snapshot.h"
#include "engine/processor.h"

namespace fetcher {

// Written by the worker, errors and retries also by the processor's own threads; read at scrape.
struct WorkerMetrics {
    std::atomic<uint64_t> records{0};
    std::atomic<uint64_t> bytes{0};
    std::atomic<uint64_t> batches{0};
    std::atomic<uint64_t> retries{0};
    std::atomic<uint64_t> errors{0};
    std::atomic<uint64_t> dead_letters{0};
};

// What a worker does when its processor fails.
struct FailurePolicy {
    RetryPolicy retry;
    std::shared_ptr<DeadLetters> dead_letters;  // nullptr: there is no destination
    Refuser refuser;                            // as the dead letters name it
};

class Worker final : public Acks {
  public:
    Worker(uint32_t index, std::string name, std::unique_ptr<Processor> processor, AckQueue& acks, FailurePolicy policy = {});
    ~Worker() override;  // the lane must have been told to stop

    void start();
    Lane& lane() { return lane_; }
    // Ends it without the consumer: nothing is written any more, and what it waits for it waits for no longer. The lane is told to stop. Thread: poll
    void abandon();
    ProcessorSnapshot snapshot() const;  // id, type and queue are the caller's to fill in. Thread: any
    // A dead letter is the whole record.
    RecordParts parts() const { return policy_.dead_letters ? RecordParts{true, true} : processor_->parts(); }

    // Acks, for the processor. Thread: any
    void durable(const std::shared_ptr<Assignment>& assignment, int64_t next_offset) override;
    void failed(Error error) override;
    void give_back(const Batch& batch) override;
    bool refused(const Batch& batch, const std::vector<BadRecord>& bad) override;
    bool keeps_refused() const override { return policy_.dead_letters != nullptr; }
    void retrying(const std::string& why, std::chrono::system_clock::time_point next_try) override;
    void recovered() override;

  private:
    struct PendingOpen {
        std::shared_ptr<Assignment> assignment;
        Backoff backoff;
        Clock::time_point due;
    };

    void run();
    bool handle(LaneItem& item);  // false: stop
    template <class Call>
    Outcome guarded(Call&& call);
    Result<std::optional<Position>> guarded_open(const std::shared_ptr<Assignment>& assignment);
    void open(PendingOpen pending);
    void retry_due_opens();
    void write(Batch* batch);
    // nullopt: given up, because revoked or broken. After `held` the batch may be somebody else's already.
    std::optional<Outcome::Kind> deliver(const Batch& batch, size_t first);
    std::optional<Outcome> deliver_without_bad(const Batch& batch, std::vector<BadRecord> bad);
    void close(const std::shared_ptr<Assignment>& assignment);
    void flush(const Assignment& assignment);
    // Calls until it neither asks for a retry nor the assignment is gone. nullopt: given up.
    template <class Call>
    std::optional<Outcome> persist(const Assignment& assignment, Call&& call);
    bool wait_for_retry(const Assignment& assignment, std::chrono::milliseconds pause);
    // Whether nobody wants anything of it written any more.
    bool is_over(const Assignment& assignment) const;
    bool accept(const Outcome& outcome, const Batch* batch);  // false after a fatal outcome: the worker is broken from then on
    void tell(Ack trouble);  // retrying or recovered
    bool patience_is_over();  // by the policy's give_up_after; a failure has just happened
    void push(Ack ack);
    void serve_timer();
    Clock::time_point next_wake() const;

    const uint32_t index_;
    const std::string name_;  // of the thread
    std::unique_ptr<Processor> processor_;
    AckQueue& acks_;
    const FailurePolicy policy_;
    moodycamel::ProducerToken token_;
    Lane lane_;
    WorkerMetrics metrics_;
    std::atomic<int64_t> failing_since_{0};  // on Clock: without a success since; 0: it is not failing
    std::atomic<uint64_t> turns_{0};
    std::unordered_map<const Assignment*, int64_t> next_;  // below it the processor has everything
    std::vector<PendingOpen> pending_opens_;
    bool timer_retrying_ = false;
    std::atomic<bool> abandoned_{false};
    bool broken_ = false;  // a fatal outcome was reported: nothing is written any more
    std::thread thread_;
};

}  // namespace fetcher
