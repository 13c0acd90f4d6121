// Reads dead letters back from a topic that kafka_dead_letters.h writes to, as a client that joins no group. What others have in the topic is
// passed over.
#pragma once

#include <memory>
#include <string>

#include "engine/dead_letter.h"
#include "engine/kafka_properties.h"

namespace fetcher {

// `group`: named to the broker, never joined.
std::unique_ptr<DeadLetterReader> make_kafka_dead_letter_reader(KafkaCluster cluster, std::string topic, std::string group);

}  // namespace fetcher
