// The consumer as people define it: plain values, shared by the store, the service and the reconciler.
// Thread: any; values
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fetcher {

struct ProcessorSpec {
    std::string id;  // UUID
    std::string type;
    nlohmann::json config;
    bool required = true;  // false: best effort, nothing waits for it
    std::string created_at;  // ISO-8601
    std::string updated_at;

    bool operator==(const ProcessorSpec&) const = default;
};

struct ConsumerSpec {
    std::string broker_ip;
    uint16_t broker_port = 0;
    std::string topic;
    std::string consumer_group;
    std::string auto_offset_reset = "earliest";
    std::string partition_assignment_strategy = "range";
    nlohmann::json dead_letter;  // null, {"topic": …} or {"file_path": …}
    nlohmann::json retry;        // as given, see failure_fields.h; null: all defaults
    nlohmann::json restart;      // likewise
    int64_t restart_requests = 0;  // how often a person has asked for a restart: one more, and what runs is replaced everywhere
    std::vector<ProcessorSpec> processors;  // in the order given
    std::map<std::string, std::string> kafka_properties = {};  // as given, references and secrets included

    bool operator==(const ConsumerSpec&) const = default;

    std::string bootstrap_servers() const {
        const bool v6 = broker_ip.find(':') != std::string::npos;
        return (v6 ? "[" + broker_ip + "]" : broker_ip) + ":" + std::to_string(broker_port);
    }
};

enum class Desired { stopped, running };

// A consumer at one of its revisions.
struct StoredConsumer {
    std::string consumer_id;  // UUID
    int64_t sequence = 0;     // given by the store, rises with creation: the order of lists
    int64_t revision = 0;     // 1, 2, …
    Desired desired = Desired::stopped;
    ConsumerSpec spec;
    std::string created_at;
    std::string updated_at;  // of the definition; start and stop leave it
    std::string revised_at;  // when this revision was made
    std::string unreadable;  // why what the store holds makes no spec, which is empty then; "": it does
};

}  // namespace fetcher
