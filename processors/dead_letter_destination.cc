#include "processors/dead_letter_destination.h"

#include "engine/kafka_dead_letter_reader.h"
#include "engine/kafka_dead_letters.h"
#include "processors/file_dead_letter_reader.h"
#include "processors/file_dead_letters.h"
#include "processors/file_sink_options.h"
#include "processors/file_sink_type.h"

namespace fetcher {

using nlohmann::json;

namespace {

// Requires that check_dead_letter() found nothing wrong.
RootedPath file_of(const json& config, const ProcessorOwner& owner, const ProcessorEnvironment& environment) {
    const auto path = expand_path(config.at("file_path").get<std::string>(), {owner.topic, environment.instance_id, owner.consumer_id, std::nullopt});
    return *place_beneath(path, environment.file_sink_roots);
}

}  // namespace

json dead_letter_schema() {
    json properties;
    properties["topic"] = {{"type", "string"},
                           {"description",
                            "A topic at the consumer's broker. Records keep their key, value, headers and timestamp (so give it a retention that "
                            "suits old timestamps); headers beginning with kafka-fetcher- say what happened."}};
    properties["file_path"] = {{"type", "string"},
                               {"minLength", 2},
                               {"maxLength", 3500},
                               {"description", "Absolute path of a file of JSON lines beneath a folder of FILE_SINK_ROOTS; {topic}, {instance} and "
                                               "{consumer_id} are filled in."}};
    return {{"type", "object"}, {"additionalProperties", false}, {"minProperties", 1}, {"maxProperties", 1}, {"properties", properties}};
}

std::vector<ConfigProblem> check_dead_letter(const json& config, const ProcessorOwner& owner, const ProcessorEnvironment& environment) {
    if (config.contains("topic")) {
        if (config["topic"] == owner.topic) return {{"/topic", "must be another topic than the consumer's own, or its dead letters would come back for ever"}};
        return {};
    }
    const auto path = config.at("file_path").get<std::string>();
    if (has_partition(path)) return {{"/file_path", "must not contain {partition}: one file holds the dead letters of all partitions"}};
    if (auto problem = FileSinkOptions::path_problem(path, owner, environment)) return {{"/file_path", std::move(*problem)}};
    return {};
}

std::string dead_letter_claim(const json& config, const ProcessorOwner& owner, const ProcessorEnvironment& environment) {
    return config.contains("file_path") ? FileSinkType().claim(config, owner, environment) : "";
}

Result<std::shared_ptr<DeadLetters>> make_dead_letters(const json& config, const ProcessorOwner& owner, const ProcessorEnvironment& environment,
                                                       const KafkaCluster& cluster) {
    if (const auto problems = check_dead_letter(config, owner, environment); !problems.empty())
        return fatal("dead_letter" + problems.front().pointer + ": " + problems.front().detail);
    if (config.contains("topic")) return std::shared_ptr<DeadLetters>(make_kafka_dead_letters({cluster, config["topic"].get<std::string>()}));
    return std::make_shared<FileDeadLetters>(file_of(config, owner, environment), kernel_calls());
}

std::unique_ptr<DeadLetterReader> make_dead_letter_reader(const json& config, const ProcessorOwner& owner, const ProcessorEnvironment& environment,
                                                          const KafkaCluster& cluster) {
    if (config.contains("topic")) return make_kafka_dead_letter_reader(cluster, config["topic"].get<std::string>(), owner.group);
    return make_file_dead_letter_reader(file_of(config, owner, environment), kernel_calls());
}

}  // namespace fetcher
