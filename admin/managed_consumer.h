// ManagedConsumer: one consumer's way from what is wanted to what runs. A state machine without a thread: the reconciler steps it, and no
// step waits.
//
// It has at most one pipeline. Another definition, or a stop, drains that one first; a failed one is replaced after a backoff that
// doubles up to a minute, unless the consumer says otherwise, and starts anew once it has been healthy for a while.
// Thread: reconciler; observe(), retry_now() and applied_revision() any
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "admin/consumer_health.h"
#include "admin/health_news.h"
#include "admin/rate_meter.h"
#include "admin/running_pipeline.h"
#include "engine/backoff.h"

namespace fetcher {

struct RestartPolicy {
    std::chrono::milliseconds initial{1'000};
    std::chrono::milliseconds max{60'000};
    std::chrono::milliseconds healthy_after{60'000};  // then the backoff begins at `initial` again
    std::chrono::milliseconds stall_after{30'000};    // lag without progress for so long is `stalled`
    std::optional<int> attempts;                      // so many failed starts in a row, then only a person's request; nullopt: no limit
};

class ManagedConsumer {
  public:
    using Time = std::chrono::steady_clock::time_point;

    ManagedConsumer(StoredConsumer desired, const PipelineFactory& factory, const RestartPolicy& policy);

    // What people want now. A newer revision is tried at once, whatever the backoff says.
    void set_desired(const StoredConsumer& desired);
    // The consumer has been deleted: its pipeline drains, then gone() holds.
    void remove() { removed_ = true; }
    // A person asks for it: no waiting for the backoff, and a pipeline whose sink is blocked is replaced.
    void retry_now() { retry_requested_ = true; }

    void step(Time now);
    // Leaves for good: drains, and launches nothing any more.
    void shut_down();

    bool gone() const { return removed_ && !pipeline_; }
    bool draining() const { return pipeline_ && stopping_; }
    bool has_pipeline() const { return pipeline_ != nullptr; }
    // The newest revision whose effect is there: its pipeline has been started, or could not be, or none runs as wanted.
    int64_t applied_revision() const { return applied_revision_.load(); }
    ConsumerObservation observe() const;

  private:
    bool wants_running() const { return !removed_ && !shutting_down_ && desired_.desired == Desired::running; }
    bool outdated() const;
    void obey_retry_request();
    void begin_anew();  // as if it had never failed
    Result<std::shared_ptr<RunningPipeline>> make_and_start() const;
    void launch(Time now);
    void retire(Time now);
    void begin_instead(Time now, const std::string& why);
    void fail(Time now, const std::string& why);
    void sample(Time now);
    void watch_progress(Time now, const PipelineSnapshot& snapshot);
    void log_health(Time now, std::vector<HealthReason> reasons);

    const PipelineFactory& factory_;
    const RestartPolicy standard_;  // for what the consumer does not say
    StoredConsumer desired_;
    RestartPolicy policy_;
    ConsumerSpec running_spec_;  // of pipeline_
    Backoff backoff_;
    int failures_ = 0;  // in a row
    Time retry_at_{};   // max(): not by itself
    Time started_at_{};
    Time sampled_at_{};
    Time lagging_since_{};  // epoch: no lag
    bool removed_ = false;
    bool shutting_down_ = false;
    bool restart_wanted_ = false;
    std::atomic<bool> retry_requested_{false};
    std::atomic<int64_t> applied_revision_{0};
    RateMeter records_rate_;
    RateMeter bytes_rate_;
    HealthNews news_;

    mutable std::mutex mutex_;  // for what observe() reads: all below
    std::shared_ptr<RunningPipeline> pipeline_;
    bool stopping_ = false;
    ConsumerObservation seen_;  // without the pipeline's own snapshot
    std::vector<HealthReason> noted_;  // of earlier pipelines on this topic
};

}  // namespace fetcher
