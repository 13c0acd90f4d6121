#include "admin/consumer_health.h"

#include <algorithm>

namespace fetcher {

namespace {

using Severity = HealthReason::Severity;

bool has(const std::vector<HealthReason>& reasons, Severity severity) {
    return std::any_of(reasons.begin(), reasons.end(), [&](const auto& reason) { return reason.severity == severity; });
}

HealthReason reason(Severity severity, std::string code, std::string detail, std::chrono::system_clock::time_point since = {}) {
    return {severity, std::move(code), std::move(detail), "", since, std::nullopt};
}

ConsumerHealth failed(const ConsumerObservation& seen, const std::string& why) {
    auto failure =
        reason(Severity::blocked, "failed", why, seen.last_error ? seen.last_error->at : std::chrono::system_clock::time_point{});
    failure.next_try = seen.next_retry_at;
    return {"ERROR", "error", {std::move(failure)}, seen.next_retry_at};
}

std::optional<std::chrono::system_clock::time_point> first_try(const std::vector<HealthReason>& reasons) {
    std::optional<std::chrono::system_clock::time_point> first;
    for (const auto& reason : reasons)
        if (reason.severity == Severity::blocked && reason.next_try && (!first || *reason.next_try < *first)) first = reason.next_try;
    return first;
}

ConsumerHealth running(const ConsumerObservation& seen) {
    const auto& pipeline = *seen.pipeline;
    const auto& reasons = pipeline.reasons;
    if (pipeline.state == PipelineSnapshot::State::failed) return failed(seen, pipeline.failure);
    if (has(reasons, Severity::blocked)) return {"ERROR", "error", reasons, first_try(reasons)};
    if (has(reasons, Severity::degraded)) return {"ACTIVE", "degraded", reasons, {}};
    if (has(reasons, Severity::waiting)) return {"ACTIVE", "waiting", reasons, {}};
    if (pipeline.state == PipelineSnapshot::State::starting) {
        // A restart that has not yet shown that it can do better is still the failure.
        if (!seen.failure.empty()) return failed(seen, seen.failure);
        return {"ACTIVE", "waiting", {reason(Severity::waiting, "starting", "Joining the consumer group.")}, {}};
    }
    if (seen.stalled_since) {
        auto all = reasons;
        all.push_back(stalled(*seen.stalled_since));
        return {"ACTIVE", "stalled", std::move(all), {}};
    }
    if (has(reasons, Severity::noted)) return {"ACTIVE", "degraded", reasons, {}};
    if (pipeline.partitions.empty())
        return {"ACTIVE",
                "waiting",
                {reason(Severity::waiting, "no_partitions", "The consumer group has not assigned a partition to this process.")},
                {}};
    return {"ACTIVE", "ok", {}, {}};
}

}  // namespace

HealthReason stalled(std::chrono::system_clock::time_point since) {
    return reason(Severity::degraded, "stalled", "There is lag, and no record has become durable for a while.", since);
}

ConsumerHealth judge_health(Desired desired, const ConsumerObservation& seen) {
    if (seen.pipeline && seen.stopping) {
        auto reasons = seen.pipeline->reasons;
        reasons.push_back(reason(Severity::waiting, "stopping", "Delivering what has been read, then committing."));
        const bool blocked = has(reasons, Severity::blocked);
        return {blocked ? "ERROR" : "ACTIVE", "stopping", std::move(reasons), {}};
    }
    if (seen.pipeline) return running(seen);
    if (desired == Desired::stopped) return {"INACTIVE", "stopped", {}, {}};
    if (!seen.failure.empty()) return failed(seen, seen.failure);
    return {"ACTIVE", "waiting", {reason(Severity::waiting, "starting", "About to start.")}, {}};
}

ConsumerHealth judge_unreadable(const std::string& why, Desired desired, const ConsumerObservation& seen) {
    if (!seen.pipeline) return {"ERROR", "error", {reason(Severity::blocked, "unreadable", why)}, seen.next_retry_at};
    auto health = judge_health(desired, seen);
    health.reasons.push_back(reason(Severity::degraded, "unreadable", why));
    if (health.state == "ok" || health.state == "waiting") health.state = "degraded";
    return health;
}

}  // namespace fetcher
