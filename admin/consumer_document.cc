#include "admin/consumer_document.h"

namespace fetcher {

using nlohmann::json;

std::string to_document(const ConsumerSpec& spec) {
    json processors = json::array();
    for (const auto& processor : spec.processors) {
        processors.push_back({{"id", processor.id},
                              {"processor_type", processor.type},
                              {"config", processor.config},
                              {"created_at", processor.created_at},
                              {"updated_at", processor.updated_at}});
    }
    return json{{"broker_ip", spec.broker_ip},
                {"broker_port", spec.broker_port},
                {"topic", spec.topic},
                {"consumer_group", spec.consumer_group},
                {"auto_offset_reset", spec.auto_offset_reset},
                {"partition_assignment_strategy", spec.partition_assignment_strategy},
                {"processor_configs", std::move(processors)}}
        .dump();
}

ConsumerSpec from_document(const std::string& document) {
    const json root = json::parse(document);
    ConsumerSpec spec;
    spec.broker_ip = root.at("broker_ip");
    spec.broker_port = root.at("broker_port");
    spec.topic = root.at("topic");
    spec.consumer_group = root.at("consumer_group");
    spec.auto_offset_reset = root.at("auto_offset_reset");
    spec.partition_assignment_strategy = root.at("partition_assignment_strategy");
    for (const auto& item : root.at("processor_configs"))
        spec.processors.push_back(
            {item.at("id"), item.at("processor_type"), item.at("config"), item.at("created_at"), item.at("updated_at")});
    return spec;
}

}  // namespace fetcher
