// Pipeline: one running consumer. A poll thread reads the topic as a group member and feeds one worker thread per processor.
//
// Life: construct, start(), request_stop() (any number of times), join(). It never restarts itself: after a fatal error it stops,
// keeps `failure` in its snapshot, and whoever owns it makes a new one.
// Threads: every member may be called from any thread; start() once.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/memory_budget.h"
#include "engine/processor.h"

namespace fetcher {

struct PipelineOptions {
    std::string consumer_id;
    std::string bootstrap_servers;
    std::string topic;
    std::string group;
    std::string group_instance_id;            // static membership; empty: dynamic
    std::string auto_offset_reset = "earliest";  // earliest, latest
    std::string partition_assignment_strategy = "cooperative-sticky";
    std::chrono::milliseconds session_timeout{10'000};
    std::chrono::milliseconds max_poll_interval{300'000};
    std::chrono::milliseconds commit_interval{1'000};
    std::chrono::milliseconds drain_timeout{8'000};  // how long a stop or a revocation waits for the sinks
    bool pin_thread = true;
};

struct PipelineProcessor {
    std::string id;
    std::string type;
    std::unique_ptr<Processor> processor;
};

// Why records do not flow, or not as they should.
struct HealthReason {
    enum class Severity {
        waiting,   // for something outside: broker, topic, partitions. The consumer is ACTIVE and flows when it appears
        degraded,  // a sink or the broker is being retried. ACTIVE
        blocked,   // a sink cannot be opened; tried again at next_try. The consumer shows ERROR meanwhile
    };
    Severity severity = Severity::degraded;
    std::string code;          // stable, for machines: broker_unreachable, topic_missing, sink_retry, sink_blocked, offset_gap, stalled
    std::string detail;        // a sentence for a person
    std::string processor_id;  // empty: not of a processor
    std::chrono::system_clock::time_point since;
    std::optional<std::chrono::system_clock::time_point> next_try;
};

struct PartitionSnapshot {
    int32_t partition = 0;
    int64_t position = -1;       // next offset to be read; -1: not known yet
    int64_t durable = -1;        // below it everything is durable in every processor
    int64_t committed = -1;      // as acknowledged by the broker
    int64_t log_end_offset = -1; // -1: not known yet
    int64_t lag = -1;            // log_end_offset - durable; -1: not known yet
};

struct ProcessorSnapshot {
    std::string id;
    std::string type;
    uint64_t records = 0;      // written
    uint64_t bytes = 0;        // of values, written
    uint64_t batches = 0;
    uint64_t retries = 0;
    uint64_t errors = 0;       // failed calls of any kind
    uint64_t queue_batches = 0;  // in its lane
};

struct PipelineSnapshot {
    enum class State { starting, running, stopping, stopped, failed };
    State state = State::starting;
    std::string failure;                 // why it failed; empty otherwise
    std::vector<HealthReason> reasons;   // empty: healthy
    std::vector<PartitionSnapshot> partitions;  // assigned to this member now
    std::vector<ProcessorSnapshot> processors;
    uint64_t records = 0;                // read from Kafka and handed to the lanes
    uint64_t bytes = 0;                  // of their values
    uint64_t errors = 0;
    uint64_t rebalances = 0;
    uint64_t commits = 0;
    uint64_t commit_failures = 0;
    uint64_t gaps = 0;                   // offsets that were lost before they could be read (retention, truncation): events, not records
    uint64_t memory_bytes = 0;           // in flight
    std::chrono::steady_clock::time_point last_progress;  // when a batch last became durable
};

class Pipeline {
  public:
    Pipeline(PipelineOptions options, std::vector<PipelineProcessor> processors, MemoryBudget& budget);
    ~Pipeline();  // stops and joins
    Pipeline(const Pipeline&) = delete;
    Pipeline& operator=(const Pipeline&) = delete;

    void start();
    // Asks it to stop fetching, drain, commit and leave; returns at once. It is over within about drain_timeout.
    void request_stop();
    // Whether its threads have ended (stopped or failed).
    bool finished() const;
    // Waits until finished() or the timeout; false on timeout.
    bool wait_finished(std::chrono::milliseconds timeout);
    PipelineSnapshot snapshot() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fetcher
