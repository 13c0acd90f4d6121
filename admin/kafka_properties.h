// A consumer's kafka_properties between its body, the store, answers and the client: checked, masked, made ready.
// Thread: any
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "admin/consumer.h"
#include "admin/problem.h"
#include "engine/kafka_properties.h"
#include "engine/result.h"
#include "processors/registry.h"

namespace fetcher {

// Of a body: numbers and booleans count as the texts that they are. What is neither is left out; check_consumer_fields() names it.
ClientProperties kafka_properties_in(const nlohmann::json& field);

// What is wrong with each, pointers beginning with /kafka_properties. May look at the disk.
std::vector<FieldError> check_kafka_properties(const ClientProperties& properties, const ProcessorEnvironment& environment);

// As answers show them: a secret is "***", unless it is nothing but a reference.
ClientProperties masked(const ClientProperties& properties);
// A secret that comes back as it was shown has not been changed.
void restore_masked(const ClientProperties& before, ClientProperties& after);

// The consumer's cluster ready for use: references looked up, certificates as paths. fatal names the property, never a secret's value.
Result<KafkaCluster> kafka_cluster(const ConsumerSpec& spec, const ProcessorEnvironment& environment);

}  // namespace fetcher
