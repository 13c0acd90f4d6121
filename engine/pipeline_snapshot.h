// What others may know of a running consumer: plain values, copied.
// Thread: any
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fetcher {

// Why records do not flow, or not as they should.
struct HealthReason {
    enum class Severity {
        noted,     // something happened that a person should know; records flow. ACTIVE, degraded for kNotedFor
        waiting,   // for something outside: broker, topic, partitions. The consumer is ACTIVE and flows when it appears
        degraded,  // a sink or the broker is being retried. ACTIVE
        blocked,   // a sink cannot be opened, and nothing flows; tried again at next_try. The consumer shows ERROR meanwhile
    };
    Severity severity = Severity::degraded;
    std::string code;          // stable, for machines: broker_unreachable, topic_missing, sink_retry, sink_blocked, sink_failed,
                               // behind, dead_letter_blocked, offset_gap, stalled
    std::string detail;        // a sentence for a person
    std::string processor_id;  // empty: not of a processor
    std::chrono::system_clock::time_point since;
    std::optional<std::chrono::system_clock::time_point> next_try;
};

struct PartitionSnapshot {
    int32_t partition = 0;
    int64_t position = -1;       // next offset to be read; -1: not known yet
    int64_t durable = -1;        // below it everything is durable in every required processor
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
    uint64_t dead_letters = 0;  // records that were refused for good and are kept in the dead-letter destination
    uint64_t queue_batches = 0;  // in its lane
    int64_t lag = -1;            // from what it holds durably to the ends of the logs of our partitions; -1: not known
    uint64_t dropped = 0;        // not required: records that it was not given, because it had no room or had failed, or lost when it failed
};

struct PipelineSnapshot {
    // outdated: it ended so that a new one finds the cluster as it is now; nothing of it has failed.
    enum class State { starting, running, stopping, stopped, failed, outdated };
    State state = State::starting;
    std::string failure;                 // why it failed, or is outdated; empty otherwise
    std::vector<HealthReason> reasons;   // empty: healthy
    std::vector<PartitionSnapshot> partitions;  // assigned to this member now
    std::vector<ProcessorSnapshot> processors;
    uint64_t records = 0;                // read from Kafka for all processors together
    uint64_t bytes = 0;                  // of their values
    uint64_t errors = 0;
    uint64_t rebalances = 0;
    uint64_t commits = 0;
    uint64_t commit_failures = 0;
    uint64_t gaps = 0;                   // offsets that were lost before they could be read (retention, truncation): events, not records
    uint64_t memory_bytes = 0;           // in flight
    std::chrono::steady_clock::time_point last_progress;  // when a batch last became durable
};

}  // namespace fetcher
