// The routes, one file for each resource. Handlers only translate between HTTP and what lies below.
// Everything referenced outlives the router.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "admin/consumer_service.h"
#include "admin/dead_letter_service.h"
#include "admin/router.h"
#include "engine/kafka_admin.h"
#include "processors/registry.h"

namespace fetcher {

void add_consumer_routes(Router& router, ConsumerService& service);
void add_dead_letter_routes(Router& router, DeadLetterService& service);
void add_version_routes(Router& router, ConsumerService& service);
void add_processor_type_routes(Router& router, const ProcessorRegistry& registry);
void add_health_routes(Router& router, ConsumerService& service);

// The processes that share the store, as this one knows them.
void add_instance_routes(Router& router, const Reconciler& reconciler, const ReplicaBoard& replicas);

// The whole consumer, with its ETag, and with a warning if the store is away and this is what it last said.
HttpResponse consumer_response(int status, const ConsumerConfig& config, const ConsumerView& view);

// What the monitoring routes ask of a cluster, and which clusters they may ask besides those of stored consumers.
struct MonitorOptions {
    std::string default_servers;
    std::vector<std::string> allowed_servers;
    std::chrono::milliseconds timeout{4'500};
    decltype(&KafkaAdmin::group_offsets) group_offsets = &KafkaAdmin::group_offsets;
    decltype(&KafkaAdmin::group_lag) group_lag = &KafkaAdmin::group_lag;
};
void add_monitor_routes(Router& router, ConsumerService& service, MonitorOptions options);

}  // namespace fetcher
