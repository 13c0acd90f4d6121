// Pipelines that do what a test tells them, and a factory that remembers each.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <vector>

#include "admin/running_pipeline.h"

namespace fetcher {

class FakePipelines {
  public:
    // One pipeline as the test sees it; outlives the product's object.
    struct Control {
        StoredConsumer consumer;
        std::mutex mutex;
        PipelineSnapshot snapshot;
        bool started = false, stop_requested = false, finished = false, destroyed = false;
        bool stops_at_once = true;

        void set(PipelineSnapshot::State state, std::vector<HealthReason> reasons = {}) {
            std::lock_guard lock(mutex);
            snapshot.state = state;
            snapshot.reasons = std::move(reasons);
        }
        void become_outdated(const std::string& why) {
            std::lock_guard lock(mutex);
            snapshot.state = PipelineSnapshot::State::outdated;
            snapshot.failure = why;
            finished = true;
        }
        void end(const std::string& failure = "") {
            std::lock_guard lock(mutex);
            snapshot.state = failure.empty() ? PipelineSnapshot::State::stopped : PipelineSnapshot::State::failed;
            snapshot.failure = failure;
            finished = true;
        }
        bool was_asked_to_stop() {
            std::lock_guard lock(mutex);
            return stop_requested;
        }
    };

    PipelineFactory factory() {
        return [this](const StoredConsumer& consumer) -> Result<std::unique_ptr<RunningPipeline>> {
            std::lock_guard lock(mutex_);
            if (!refusal.empty()) return fatal(refusal);
            if (exhausted) throw std::system_error(std::make_error_code(std::errc::too_many_files_open));
            auto control = std::make_shared<Control>();
            control->consumer = consumer;
            control->snapshot.state = PipelineSnapshot::State::running;
            control->snapshot.last_progress = std::chrono::steady_clock::now();
            control->stops_at_once = stop_at_once;
            made_.push_back(control);
            return std::make_unique<Fake>(control);
        };
    }
    size_t count() {
        std::lock_guard lock(mutex_);
        return made_.size();
    }
    std::shared_ptr<Control> last() {
        std::lock_guard lock(mutex_);
        return made_.back();
    }

    std::string refusal;       // why the factory makes none
    bool exhausted = false;    // the system has no descriptor left
    bool stop_at_once = true;  // else a test calls end()

  private:
    class Fake : public RunningPipeline {
      public:
        explicit Fake(std::shared_ptr<Control> control) : control_(std::move(control)) {}
        ~Fake() override { control_->destroyed = true; }
        void start() override { control_->started = true; }
        void request_stop() override {
            std::lock_guard lock(control_->mutex);
            control_->stop_requested = true;
            if (!control_->stops_at_once) return;
            control_->snapshot.state = PipelineSnapshot::State::stopped;
            control_->finished = true;
        }
        bool finished() const override {
            std::lock_guard lock(control_->mutex);
            return control_->finished;
        }
        PipelineSnapshot snapshot() const override {
            std::lock_guard lock(control_->mutex);
            return control_->snapshot;
        }

      private:
        std::shared_ptr<Control> control_;
    };

    std::mutex mutex_;
    std::vector<std::shared_ptr<Control>> made_;
};

}  // namespace fetcher
