// From what is known of a consumer to what people are told of it. Pure.
// Thread: any
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "admin/consumer.h"
#include "engine/pipeline.h"

namespace fetcher {

struct LastError {
    std::string detail;
    std::chrono::system_clock::time_point at;
};

// Counted since the process started, over all pipelines that the consumer has had.
struct ConsumerTotals {
    uint64_t records = 0;
    uint64_t bytes = 0;
    uint64_t errors = 0;
    uint64_t restarts = 0;  // by automatic recovery
    uint64_t dead_letters = 0;
    uint64_t gaps = 0;     // as in PipelineSnapshot
    uint64_t dropped = 0;  // as in ProcessorSnapshot, of all that are not required
};

// What the reconciler knows.
struct ConsumerObservation {
    std::optional<PipelineSnapshot> pipeline;  // nullopt: none exists
    bool stopping = false;                     // the pipeline has been asked to end
    std::string failure;                       // why the last pipeline failed or could not be made; empty: it did not
    std::optional<std::chrono::system_clock::time_point> next_retry_at;
    std::optional<std::chrono::system_clock::time_point> stalled_since;
    std::optional<LastError> last_error;
    ConsumerTotals totals;
    double records_per_second = 0;
    double bytes_per_second = 0;
};

struct ConsumerHealth {
    std::string status;  // ACTIVE, INACTIVE, ERROR
    std::string state;   // ok, waiting, degraded, stalled, error, stopping, stopped
    std::vector<HealthReason> reasons;
    std::optional<std::chrono::system_clock::time_point> next_retry_at;
};

// The reason of a consumer that has lag and makes no progress.
HealthReason stalled(std::chrono::system_clock::time_point since);
ConsumerHealth judge_health(Desired desired, const ConsumerObservation& seen);
// The same of a consumer whose stored definition cannot be read: what runs of it goes on, but nothing can be started.
ConsumerHealth judge_unreadable(const std::string& why, Desired desired, const ConsumerObservation& seen);

}  // namespace fetcher
