#include "admin/managed_consumer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <system_error>

#include "admin/failure_fields.h"
#include "engine/health_board.h"

namespace fetcher {

namespace {

constexpr std::chrono::milliseconds kSampleInterval{1'000};

using State = PipelineSnapshot::State;

bool is_blocked(const PipelineSnapshot& snapshot) {
    return std::any_of(snapshot.reasons.begin(), snapshot.reasons.end(),
                       [](const auto& reason) { return reason.severity == HealthReason::Severity::blocked; });
}

bool has_lag(const PipelineSnapshot& snapshot) {
    return std::any_of(snapshot.partitions.begin(), snapshot.partitions.end(), [](const auto& partition) { return partition.lag > 0; });
}

void add(ConsumerTotals& totals, const PipelineSnapshot& snapshot) {
    totals.records += snapshot.records;
    totals.bytes += snapshot.bytes;
    totals.errors += snapshot.errors;
    totals.gaps += snapshot.gaps;
    for (const auto& processor : snapshot.processors) {
        totals.dead_letters += processor.dead_letters;
        totals.dropped += processor.dropped;
    }
}

// Adds what was noted of earlier pipelines, as long as it is told, but where there is something newer of its kind.
void add_noted(std::vector<HealthReason>& reasons, const std::vector<HealthReason>& earlier) {
    const auto oldest = std::chrono::system_clock::now() - HealthBoard::kNotedFor;
    for (const auto& reason : earlier) {
        const auto same = [&](const HealthReason& known) { return known.code == reason.code && known.processor_id == reason.processor_id; };
        if (reason.since > oldest && std::ranges::none_of(reasons, same)) reasons.push_back(reason);
    }
}

}  // namespace

ManagedConsumer::ManagedConsumer(StoredConsumer desired, const PipelineFactory& factory, const RestartPolicy& policy)
    : factory_(factory), standard_(policy), desired_(std::move(desired)), policy_(restart_policy(desired_.spec.restart, standard_)),
      backoff_(policy_.initial, policy_.max) {}

void ManagedConsumer::set_desired(const StoredConsumer& desired) {
    const bool repaired = !desired_.unreadable.empty() && desired.unreadable.empty();
    if (desired.revision == desired_.revision && !repaired) return;
    desired_ = desired;
    policy_ = restart_policy(desired_.spec.restart, standard_);
    backoff_ = Backoff(policy_.initial, policy_.max);
    begin_anew();
}

void ManagedConsumer::begin_anew() {
    retry_at_ = {};
    failures_ = 0;
    backoff_.reset();
}

bool ManagedConsumer::outdated() const { return !wants_running() || restart_wanted_ || !(running_spec_ == desired_.spec); }

void ManagedConsumer::step(Time now) {
    if (retry_requested_.exchange(false)) obey_retry_request();
    if (pipeline_ && pipeline_->finished()) retire(now);
    if (pipeline_ && !stopping_ && outdated()) {
        pipeline_->request_stop();
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    if (!pipeline_ && wants_running() && now >= retry_at_) launch(now);
    if (pipeline_ && !stopping_ && now - sampled_at_ >= kSampleInterval) sample(now);

    const bool settled = pipeline_ ? !stopping_ : !wants_running() || now < retry_at_;
    if (!settled) return;
    if (!pipeline_ && !wants_running()) {
        std::lock_guard lock(mutex_);
        seen_.failure.clear();
        seen_.next_retry_at.reset();
    }
    applied_revision_ = desired_.revision;
}

void ManagedConsumer::obey_retry_request() {
    begin_anew();
    if (pipeline_ && !stopping_ && is_blocked(pipeline_->snapshot())) restart_wanted_ = true;
}

Result<std::shared_ptr<RunningPipeline>> ManagedConsumer::make_and_start() const {
    try {
        auto made = factory_(desired_);
        if (!made) return tl::unexpected<Error>(made.error());
        (*made)->start();
        return std::shared_ptr<RunningPipeline>(std::move(*made));
    } catch (const std::system_error& error) {
        return transient(std::string("The system has no thread or file descriptor left for it: ") + error.what() +
                         ". Raise the process's limits, or run fewer consumers");
    }
}

void ManagedConsumer::launch(Time now) {
    restart_wanted_ = false;
    if (!desired_.unreadable.empty()) return fail(now, desired_.unreadable);
    const auto made = make_and_start();
    if (!made) return fail(now, made.error().reason);
    std::shared_ptr<RunningPipeline> pipeline = *made;
    const bool elsewhere = running_spec_.topic != desired_.spec.topic || running_spec_.bootstrap_servers() != desired_.spec.bootstrap_servers();
    running_spec_ = desired_.spec;
    started_at_ = sampled_at_ = now;
    lagging_since_ = {};
    records_rate_.sample(now, seen_.totals.records);
    bytes_rate_.sample(now, seen_.totals.bytes);
    spdlog::info("consumer {}: started, topic {}, group {}, revision {}", desired_.consumer_id, desired_.spec.topic,
                 desired_.spec.consumer_group, desired_.revision);
    std::lock_guard lock(mutex_);
    pipeline_ = std::move(pipeline);
    stopping_ = false;
    seen_.next_retry_at.reset();
    if (elsewhere) noted_.clear();
}

void ManagedConsumer::retire(Time now) {
    const auto last = pipeline_->snapshot();
    const bool asked = stopping_;
    std::shared_ptr<RunningPipeline> ended;  // destroyed after the lock is gone
    {
        std::lock_guard lock(mutex_);
        ended = std::move(pipeline_);
        pipeline_ = nullptr;
        stopping_ = false;
        add(seen_.totals, last);
        auto noted = last.reasons;
        std::erase_if(noted, [](const auto& reason) { return reason.severity != HealthReason::Severity::noted; });
        add_noted(noted, noted_);
        noted_ = std::move(noted);
        seen_.records_per_second = seen_.bytes_per_second = 0;
        seen_.stalled_since.reset();
    }
    records_rate_.clear();
    bytes_rate_.clear();
    if (asked) news_.forget();
    if (!asked && last.state == State::outdated) begin_instead(now, last.failure);
    else if (!asked) fail(now, last.failure.empty() ? "It ended without being asked to." : last.failure);
    else if (last.state == State::failed) spdlog::warn("consumer {}: stopped, but not cleanly: {}", desired_.consumer_id, last.failure);
    else spdlog::info("consumer {}: stopped", desired_.consumer_id);
}

// No failure: no attempt is used up. It needs a pause only where it comes again and again.
void ManagedConsumer::begin_instead(Time now, const std::string& why) {
    if (now - started_at_ < policy_.healthy_after) retry_at_ = now + backoff_.next();
    spdlog::warn("consumer {}: begins anew: {}", desired_.consumer_id, why);
    std::lock_guard lock(mutex_);
    seen_.last_error = LastError{why, std::chrono::system_clock::now()};
    ++seen_.totals.restarts;
}

void ManagedConsumer::fail(Time now, const std::string& why) {
    const auto wait = backoff_.next();
    const bool gives_up = policy_.attempts && failures_ >= *policy_.attempts;
    ++failures_;
    retry_at_ = gives_up ? Time::max() : now + wait;
    const auto clock = std::chrono::system_clock::now();
    if (gives_up) spdlog::error("consumer {}: failed: {} (not tried again by itself)", desired_.consumer_id, why);
    else spdlog::error("consumer {}: failed: {} (next try in {} ms)", desired_.consumer_id, why, wait.count());
    std::lock_guard lock(mutex_);
    seen_.failure = gives_up ? why + ". It is not started again by itself (restart.attempts); POST …/restart does" : why;
    seen_.last_error = LastError{why, clock};
    seen_.next_retry_at.reset();
    if (gives_up) return;
    seen_.next_retry_at = clock + wait;
    ++seen_.totals.restarts;
}

void ManagedConsumer::sample(Time now) {
    sampled_at_ = now;
    const auto snapshot = pipeline_->snapshot();
    records_rate_.sample(now, seen_.totals.records + snapshot.records);
    bytes_rate_.sample(now, seen_.totals.bytes + snapshot.bytes);
    const bool well = snapshot.state == State::running && !is_blocked(snapshot);
    if (well && now - started_at_ >= policy_.healthy_after) {
        backoff_.reset();
        failures_ = 0;
    }

    {
        std::lock_guard lock(mutex_);
        seen_.records_per_second = records_rate_.per_second();
        seen_.bytes_per_second = bytes_rate_.per_second();
        if (well) seen_.failure.clear();
        for (const auto& reason : snapshot.reasons)
            if (reason.severity != HealthReason::Severity::waiting) seen_.last_error = LastError{reason.detail, reason.since};
        watch_progress(now, snapshot);
    }
    log_health(now, snapshot.reasons);
}

void ManagedConsumer::watch_progress(Time now, const PipelineSnapshot& snapshot) {
    if (!has_lag(snapshot)) {
        lagging_since_ = {};
        seen_.stalled_since.reset();
        return;
    }
    if (lagging_since_ == Time{}) lagging_since_ = now;
    const auto standing_for = now - std::max(lagging_since_, snapshot.last_progress);
    if (standing_for < policy_.stall_after) seen_.stalled_since.reset();
    else if (!seen_.stalled_since)
        seen_.stalled_since =
            std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(standing_for);
}

void ManagedConsumer::log_health(Time now, std::vector<HealthReason> reasons) {
    if (seen_.stalled_since) reasons.push_back(stalled(*seen_.stalled_since));
    for (const auto& line : news_.since(reasons, now))
        spdlog::log(line.bad ? spdlog::level::warn : spdlog::level::info, "consumer {}: {}", desired_.consumer_id, line.text);
}

void ManagedConsumer::shut_down() {
    shutting_down_ = true;
    if (!pipeline_ || stopping_) return;
    pipeline_->request_stop();
    std::lock_guard lock(mutex_);
    stopping_ = true;
}

ConsumerObservation ManagedConsumer::observe() const {
    std::shared_ptr<RunningPipeline> pipeline;
    ConsumerObservation seen;
    std::vector<HealthReason> noted;
    {
        std::lock_guard lock(mutex_);
        pipeline = pipeline_;
        seen = seen_;
        seen.stopping = stopping_;
        noted = noted_;
    }
    if (!pipeline) return seen;
    seen.pipeline = pipeline->snapshot();
    // The reconciler will see it at its next step.
    if (seen.pipeline->state == State::failed) seen.last_error = LastError{seen.pipeline->failure, std::chrono::system_clock::now()};
    add(seen.totals, *seen.pipeline);
    add_noted(seen.pipeline->reasons, noted);
    return seen;
}

}  // namespace fetcher
