// Pipeline: one running consumer. A poll thread reads the topic as a group member and feeds one worker thread per processor.
//
// Life: construct, start(), request_stop() (any number of times), join(). It never restarts itself: after a fatal error it stops,
// keeps `failure` in its snapshot, and whoever owns it makes a new one.
// Threads: every member may be called from any thread; start() once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/backoff.h"
#include "engine/dead_letters.h"
#include "engine/kafka_properties.h"
#include "engine/memory_budget.h"
#include "engine/pipeline_snapshot.h"
#include "engine/processor.h"

namespace fetcher {

struct PipelineOptions {
    std::string consumer_id;
    KafkaCluster cluster;
    std::string topic;
    std::string group;
    std::string group_instance_id;            // static membership; empty: dynamic
    std::string auto_offset_reset = "earliest";  // earliest, latest
    std::string partition_assignment_strategy = "range";
    std::chrono::milliseconds session_timeout{10'000};
    std::chrono::milliseconds max_poll_interval{300'000};
    std::chrono::milliseconds commit_interval{1'000};
    std::chrono::milliseconds drain_timeout{8'000};  // how long a stop or a revocation waits for the sinks
    RetryPolicy retry;                          // of what fails for now in a sink
    ReopenPolicy reopen;                        // of processors that are not required and fail for good
    std::shared_ptr<DeadLetters> dead_letters;  // nullptr: a record that a sink refuses for good ends the pipeline
    bool pin_thread = true;
};

struct PipelineProcessor {
    std::string id;
    std::string type;
    std::unique_ptr<Processor> processor;
    // False: it gets what it can take in time, holds nothing up, and may fail. At least one of a pipeline is required.
    bool required = true;
    std::function<Result<std::unique_ptr<Processor>>()> make_anew = {};  // not required: one that takes its place once it has failed. Thread: poll
};

class Pipeline {
  public:
    // The constructor and start() throw std::system_error where the system has no descriptor or thread left.
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
