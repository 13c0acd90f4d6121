#include "admin/report_json.h"

#include <nlohmann/json.hpp>

namespace fetcher {
namespace {

using nlohmann::json;
using Clock = std::chrono::system_clock;

// Of a point in time: milliseconds since 1970. Of the monotonic clock nothing is reported: it means nothing elsewhere.
json time_json(const std::optional<Clock::time_point>& time) {
    if (!time) return nullptr;
    return std::chrono::duration_cast<std::chrono::milliseconds>(time->time_since_epoch()).count();
}

std::optional<Clock::time_point> time_of(const json& from, const char* name) {
    const auto at = from.find(name);
    if (at == from.end() || !at->is_number_integer()) return std::nullopt;
    return Clock::time_point(std::chrono::milliseconds(at->get<int64_t>()));
}

// One list of fields for both directions: visit(name, field).
template <class Partition, class Visit>
void visit_partition(Partition& p, Visit&& visit) {
    visit("partition", p.partition);
    visit("position", p.position);
    visit("durable", p.durable);
    visit("committed", p.committed);
    visit("log_end_offset", p.log_end_offset);
    visit("lag", p.lag);
}

template <class ProcessorOf, class Visit>
void visit_processor(ProcessorOf& p, Visit&& visit) {
    visit("id", p.id);
    visit("type", p.type);
    visit("records", p.records);
    visit("bytes", p.bytes);
    visit("batches", p.batches);
    visit("retries", p.retries);
    visit("errors", p.errors);
    visit("dead_letters", p.dead_letters);
    visit("queue_batches", p.queue_batches);
    visit("lag", p.lag);
    visit("dropped", p.dropped);
}

template <class Snapshot, class Visit>
void visit_counters(Snapshot& s, Visit&& visit) {
    visit("failure", s.failure);
    visit("records", s.records);
    visit("bytes", s.bytes);
    visit("errors", s.errors);
    visit("rebalances", s.rebalances);
    visit("commits", s.commits);
    visit("commit_failures", s.commit_failures);
    visit("gaps", s.gaps);
    visit("memory_bytes", s.memory_bytes);
}

template <class Totals, class Visit>
void visit_totals(Totals& t, Visit&& visit) {
    visit("records", t.records);
    visit("bytes", t.bytes);
    visit("errors", t.errors);
    visit("restarts", t.restarts);
    visit("dead_letters", t.dead_letters);
    visit("gaps", t.gaps);
    visit("dropped", t.dropped);
}

auto into(json& to) {
    return [&to](const char* name, const auto& field) { to[name] = field; };
}
auto out_of(const json& from) {
    return [&from](const char* name, auto& field) { field = from.value(name, field); };
}

json reason_json(const HealthReason& reason) {
    return {{"severity", static_cast<int>(reason.severity)}, {"code", reason.code},          {"detail", reason.detail},
            {"processor_id", reason.processor_id},           {"since", time_json(reason.since)}, {"next_try", time_json(reason.next_try)}};
}

HealthReason reason_of(const json& from) {
    HealthReason reason;
    const int severity = from.value("severity", static_cast<int>(HealthReason::Severity::degraded));
    const bool known = severity >= 0 && severity <= static_cast<int>(HealthReason::Severity::blocked);
    reason.severity = known ? static_cast<HealthReason::Severity>(severity) : HealthReason::Severity::degraded;
    reason.code = from.value("code", "");
    reason.detail = from.value("detail", "");
    reason.processor_id = from.value("processor_id", "");
    reason.since = time_of(from, "since").value_or(Clock::time_point{});
    reason.next_try = time_of(from, "next_try");
    return reason;
}

json pipeline_json(const PipelineSnapshot& snapshot) {
    json to = {{"state", static_cast<int>(snapshot.state)}};
    visit_counters(snapshot, into(to));
    to["reasons"] = json::array();
    for (const auto& reason : snapshot.reasons) to["reasons"].push_back(reason_json(reason));
    to["partitions"] = json::array();
    for (const auto& partition : snapshot.partitions) visit_partition(partition, into(to["partitions"].emplace_back()));
    to["processors"] = json::array();
    for (const auto& processor : snapshot.processors) visit_processor(processor, into(to["processors"].emplace_back()));
    return to;
}

PipelineSnapshot pipeline_of(const json& from) {
    PipelineSnapshot snapshot;
    const int state = from.value("state", static_cast<int>(PipelineSnapshot::State::running));
    if (state >= 0 && state <= static_cast<int>(PipelineSnapshot::State::outdated)) snapshot.state = static_cast<PipelineSnapshot::State>(state);
    visit_counters(snapshot, out_of(from));
    for (const auto& item : from.value("reasons", json::array())) snapshot.reasons.push_back(reason_of(item));
    for (const auto& item : from.value("partitions", json::array())) visit_partition(snapshot.partitions.emplace_back(), out_of(item));
    for (const auto& item : from.value("processors", json::array())) visit_processor(snapshot.processors.emplace_back(), out_of(item));
    return snapshot;
}

json report_json(const ConsumerReport& report) {
    const auto& seen = report.seen;
    json to = {{"applied_revision", report.applied_revision},
               {"stopping", seen.stopping},
               {"failure", seen.failure},
               {"next_retry_at", time_json(seen.next_retry_at)},
               {"stalled_since", time_json(seen.stalled_since)},
               {"records_per_second", seen.records_per_second},
               {"bytes_per_second", seen.bytes_per_second}};
    visit_totals(seen.totals, into(to["totals"]));
    if (seen.pipeline) to["pipeline"] = pipeline_json(*seen.pipeline);
    if (seen.last_error) to["last_error"] = {{"detail", seen.last_error->detail}, {"at", time_json(seen.last_error->at)}};
    return to;
}

ConsumerReport report_of(const json& from) {
    ConsumerReport report;
    auto& seen = report.seen;
    report.applied_revision = from.value("applied_revision", int64_t{0});
    seen.stopping = from.value("stopping", false);
    seen.failure = from.value("failure", "");
    seen.next_retry_at = time_of(from, "next_retry_at");
    seen.stalled_since = time_of(from, "stalled_since");
    seen.records_per_second = from.value("records_per_second", 0.0);
    seen.bytes_per_second = from.value("bytes_per_second", 0.0);
    if (const auto at = from.find("totals"); at != from.end()) visit_totals(seen.totals, out_of(*at));
    if (const auto at = from.find("pipeline"); at != from.end()) seen.pipeline = pipeline_of(*at);
    if (const auto at = from.find("last_error"); at != from.end())
        seen.last_error = LastError{at->value("detail", ""), time_of(*at, "at").value_or(Clock::time_point{})};
    return report;
}

}  // namespace

std::string write_reports(const ConsumerReports& reports) {
    json to = json::object();
    for (const auto& [id, report] : reports) to[id] = report_json(report);
    // An error text of another library may hold what is no UTF-8.
    return to.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<ConsumerReports> read_reports(const std::string& text) {
    const auto from = json::parse(text, nullptr, false);
    if (!from.is_object()) return std::nullopt;
    ConsumerReports reports;
    try {
        for (const auto& [id, report] : from.items()) reports[id] = report_of(report);
    } catch (const json::exception&) {
        return std::nullopt;  // a field of another type than ours
    }
    return reports;
}

}  // namespace fetcher
