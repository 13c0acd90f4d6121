// The consumer's dead_letter field: {"topic": "…"} or {"file_path": "…"}, and what it makes.
// Thread: any
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/dead_letter.h"
#include "engine/dead_letters.h"
#include "engine/kafka_properties.h"
#include "processors/registry.h"

namespace fetcher {

// JSON Schema of the field without null.
nlohmann::json dead_letter_schema();
// What the schema cannot say; pointers within the field. Looks at the config alone, never at the disk.
std::vector<ConfigProblem> check_dead_letter(const nlohmann::json& config, const ProcessorOwner& owner, const ProcessorEnvironment& environment);
// What ProcessorType::claim() says of a file_sink that writes to the same file, which would cut the dead letters off. "": no file.
std::string dead_letter_claim(const nlohmann::json& config, const ProcessorOwner& owner, const ProcessorEnvironment& environment);
// Requires that both found nothing wrong. Touches neither disk nor network before the first dead letter.
Result<std::shared_ptr<DeadLetters>> make_dead_letters(const nlohmann::json& config, const ProcessorOwner& owner,
                                                       const ProcessorEnvironment& environment, const KafkaCluster& cluster);
// Reads what make_dead_letters() keeps; likewise.
std::unique_ptr<DeadLetterReader> make_dead_letter_reader(const nlohmann::json& config, const ProcessorOwner& owner,
                                                          const ProcessorEnvironment& environment, const KafkaCluster& cluster);

}  // namespace fetcher
