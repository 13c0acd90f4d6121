#include <cmath>
#include <nlohmann/json.hpp>

#include "admin/routes.h"

namespace fetcher {

namespace {

nlohmann::ordered_json instance_json(const Instance& instance, bool self, bool alive, std::chrono::milliseconds silent_for,
                                     const ConsumerReports& reports) {
    size_t consumers = 0, partitions = 0;
    double rate = 0;
    for (const auto& [id, report] : reports) {
        if (!report.seen.pipeline) continue;
        ++consumers;
        partitions += report.seen.pipeline->partitions.size();
        rate += report.seen.records_per_second;
    }
    nlohmann::ordered_json item = {{"instance_id", instance.instance_id},
                                   {"host", instance.host},
                                   {"version", instance.version},
                                   {"started_at", instance.started_at},
                                   {"self", self},
                                   {"alive", alive},
                                   {"seconds_since_heartbeat", std::round(static_cast<double>(silent_for.count()) / 100) / 10}};
    if (alive) {
        item["consumers"] = consumers;
        item["partitions"] = partitions;
        item["records_per_second"] = std::round(rate * 10) / 10;
    }
    return item;
}

}  // namespace

void add_instance_routes(Router& router, const Reconciler& reconciler, const ReplicaBoard& replicas) {
    router.add("GET", "/api/instances", [&](const HttpRequest&) {
        const auto view = replicas.view();
        nlohmann::ordered_json body = {{"items", nlohmann::ordered_json::array()}, {"current", view.current}};
        body["items"].push_back(instance_json(replicas.self(), true, true, {}, reconciler.reports()));
        for (const auto& replica : view.others)
            body["items"].push_back(instance_json(replica.instance, false, replica.alive, replica.silent_for, replica.consumers));
        return json_response(200, body);
    });
}

}  // namespace fetcher
