#include "admin/consumer_json.h"

#include <cmath>

#include "admin/failure_fields.h"
#include "admin/kafka_properties.h"
#include "engine/iso_time.h"

namespace fetcher {

using json = nlohmann::ordered_json;

namespace {

json known(int64_t value) { return value < 0 ? json(nullptr) : json(value); }

json time_or_null(const std::optional<std::chrono::system_clock::time_point>& time) { return time ? json(iso_time(*time)) : json(nullptr); }

const char* severity_name(HealthReason::Severity severity) {
    switch (severity) {
        case HealthReason::Severity::noted: return "noted";
        case HealthReason::Severity::waiting: return "waiting";
        case HealthReason::Severity::degraded: return "degraded";
        case HealthReason::Severity::blocked: return "blocked";
    }
    return "degraded";
}

json reason_json(const HealthReason& reason) {
    json item = {{"code", reason.code}, {"severity", severity_name(reason.severity)}, {"detail", reason.detail}};
    if (!reason.processor_id.empty()) item["processor_id"] = reason.processor_id;
    if (reason.since.time_since_epoch().count() > 0) item["since"] = iso_time(reason.since);
    if (reason.next_try) item["next_try_at"] = iso_time(*reason.next_try);
    return item;
}

json health_json(const ConsumerHealth& health) {
    json reasons = json::array();
    for (const auto& reason : health.reasons) reasons.push_back(reason_json(reason));
    json item = {{"state", health.state}, {"reasons", std::move(reasons)}};
    if (health.status == "ERROR") item["next_retry_at"] = time_or_null(health.next_retry_at);
    return item;
}

json processors_json(const StoredConsumer& consumer, const ConsumerConfig& config) {
    json list = json::array();
    for (const auto& processor : consumer.spec.processors)
        list.push_back({{"id", processor.id},
                        {"processor_type", processor.type},
                        {"config", json(config.masked(processor))},
                        {"created_at", processor.created_at},
                        {"updated_at", processor.updated_at},
                        {"required", processor.required}});
    return list;
}

json partitions_json(const PipelineSnapshot& pipeline) {
    json list = json::array();
    for (const auto& p : pipeline.partitions)
        list.push_back({{"partition", p.partition},
                        {"position", known(p.position)},
                        {"durable", known(p.durable)},
                        {"committed", known(p.committed)},
                        {"log_end_offset", known(p.log_end_offset)},
                        {"lag", known(p.lag)}});
    return list;
}

json processor_metrics_json(const PipelineSnapshot& pipeline) {
    json list = json::array();
    for (const auto& p : pipeline.processors)
        list.push_back({{"id", p.id},
                        {"processor_type", p.type},
                        {"records", p.records},
                        {"bytes", p.bytes},
                        {"batches", p.batches},
                        {"retries", p.retries},
                        {"errors", p.errors},
                        {"dead_letters", p.dead_letters},
                        {"queued_batches", p.queue_batches},
                        {"lag", known(p.lag)},
                        {"dropped", p.dropped}});
    return list;
}

// The sum over the partitions whose lag is known; null while none is.
json lag_json(const PipelineSnapshot& pipeline) {
    int64_t lag = 0;
    bool any = false;
    for (const auto& partition : pipeline.partitions) {
        if (partition.lag < 0) continue;
        any = true;
        lag += partition.lag;
    }
    return any ? json(lag) : json(nullptr);
}

json metrics_json(const ConsumerObservation& seen) {
    const auto pipeline = seen.pipeline.value_or(PipelineSnapshot{});
    return {{"records", seen.totals.records},
            {"bytes", seen.totals.bytes},
            {"records_per_second", std::round(seen.records_per_second * 10) / 10},
            {"bytes_per_second", std::round(seen.bytes_per_second)},
            {"errors", seen.totals.errors},
            {"restarts", seen.totals.restarts},
            {"dead_letters", seen.totals.dead_letters},
            {"lag", lag_json(pipeline)},
            {"memory_bytes", pipeline.memory_bytes},
            {"rebalances", pipeline.rebalances},
            {"commits", pipeline.commits},
            {"commit_failures", pipeline.commit_failures},
            {"gaps", seen.totals.gaps},
            {"dropped", seen.totals.dropped},
            {"partitions", partitions_json(pipeline)},
            {"processors", processor_metrics_json(pipeline)}};
}

}  // namespace

json consumer_json(const StoredConsumer& consumer, const ConsumerHealth& health, const ConsumerObservation& seen,
                   const ConsumerConfig& config) {
    const auto& spec = consumer.spec;
    json last_error = nullptr;
    if (seen.last_error) last_error = {{"detail", seen.last_error->detail}, {"at", iso_time(seen.last_error->at)}};
    return {{"consumer_id", consumer.consumer_id},
            {"broker_ip", spec.broker_ip},
            {"broker_port", spec.broker_port},
            {"topic", spec.topic},
            {"consumer_group", spec.consumer_group},
            {"status", health.status},
            {"processor_configs", processors_json(consumer, config)},
            {"created_at", consumer.created_at},
            {"updated_at", consumer.updated_at},
            {"auto_offset_reset", spec.auto_offset_reset},
            {"partition_assignment_strategy", spec.partition_assignment_strategy},
            {"kafka_properties", masked(spec.kafka_properties)},
            {"dead_letter", json(spec.dead_letter)},
            {"retry", shown_retry(spec.retry)},
            {"restart", shown_restart(spec.restart)},
            {"revision", consumer.revision},
            {"health", health_json(health)},
            {"last_error", std::move(last_error)},
            {"metrics", metrics_json(seen)}};
}

json replicas_json(const std::vector<PartHealth>& parts) {
    json list = json::array();
    for (const auto& part : parts) {
        json item = {{"instance_id", part.instance_id}, {"alive", part.alive}};
        if (part.alive) {
            item["status"] = part.health.status;
            item["health"] = health_json(part.health);
            item["partitions"] = part.partitions;
        }
        list.push_back(std::move(item));
    }
    return list;
}

json version_json(const StoredConsumer& revision, const ConsumerConfig& config) {
    const auto& spec = revision.spec;
    if (!revision.unreadable.empty())
        return {{"version", revision.revision},
                {"created_at", revision.revised_at},
                {"config", nullptr},
                {"unreadable", revision.unreadable}};
    return {{"version", revision.revision},
            {"created_at", revision.revised_at},
            {"desired_status", revision.desired == Desired::running ? "ACTIVE" : "INACTIVE"},
            {"config",
             {{"broker_ip", spec.broker_ip},
              {"broker_port", spec.broker_port},
              {"topic", spec.topic},
              {"consumer_group", spec.consumer_group},
              {"auto_offset_reset", spec.auto_offset_reset},
              {"partition_assignment_strategy", spec.partition_assignment_strategy},
              {"kafka_properties", masked(spec.kafka_properties)},
              {"dead_letter", json(spec.dead_letter)},
              {"retry", shown_retry(spec.retry)},
              {"restart", shown_restart(spec.restart)},
              {"processor_configs", processors_json(revision, config)}}}};
}

}  // namespace fetcher
