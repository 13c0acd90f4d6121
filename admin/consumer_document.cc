#include "admin/consumer_document.h"

namespace fetcher {

using nlohmann::json;

std::string to_document(const ConsumerSpec& spec) {
    json processors = json::array();
    for (const auto& processor : spec.processors) {
        processors.push_back({{"id", processor.id},
                              {"processor_type", processor.type},
                              {"config", processor.config},
                              {"required", processor.required},
                              {"created_at", processor.created_at},
                              {"updated_at", processor.updated_at}});
    }
    return json{{"broker_ip", spec.broker_ip},
                {"broker_port", spec.broker_port},
                {"topic", spec.topic},
                {"consumer_group", spec.consumer_group},
                {"auto_offset_reset", spec.auto_offset_reset},
                {"partition_assignment_strategy", spec.partition_assignment_strategy},
                {"kafka_properties", spec.kafka_properties},
                {"dead_letter", spec.dead_letter},
                {"retry", spec.retry},
                {"restart", spec.restart},
                {"restart_requests", spec.restart_requests},
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
    spec.kafka_properties = root.value("kafka_properties", spec.kafka_properties);  // not in documents of older builds
    // Older builds did not write these.
    spec.dead_letter = root.value("dead_letter", json());
    spec.retry = root.value("retry", json());
    spec.restart = root.value("restart", json());
    spec.restart_requests = root.value("restart_requests", int64_t{0});
    for (const auto& item : root.at("processor_configs"))
        spec.processors.push_back({item.at("id"), item.at("processor_type"), item.at("config"), item.value("required", true),
                                   item.at("created_at"), item.at("updated_at")});
    return spec;
}

void read_document(const std::string& document, StoredConsumer& into) {
    try {
        into.spec = from_document(document);
    } catch (const json::exception& error) {
        // Without what the library quotes of it, which may be a secret.
        const auto* where = dynamic_cast<const json::parse_error*>(&error);
        into.spec = {};
        into.unreadable = "What is stored of the consumer's revision " + std::to_string(into.revision) + " is damaged: " +
                          (where ? "no JSON at byte " + std::to_string(where->byte) : "a field is missing or of another type") +
                          ". Restore the store from a copy, or delete the consumer and create it again.";
    }
}

}  // namespace fetcher
