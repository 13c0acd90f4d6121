// KafkaDeadLetters: dead letters as records of a topic: the original key, value, headers and timestamp, and headers that say what happened.
//
// They are written idempotently with acks=all. The topic is not made here: where the cluster makes topics by itself it does so, elsewhere
// the consumer's health says that it is missing.
// Headers, each a text: kafka-fetcher-error, -processor-id, -processor-type, -consumer-id, -group, -topic, -partition, -offset,
// -timestamp (the record's, milliseconds since 1970, -1: none; the message's may be the time of its arrival), -failed-at (ISO-8601), -replays (how often the record had been delivered anew before).
#pragma once

#include <memory>
#include <string>

#include "engine/dead_letters.h"
#include "engine/kafka_properties.h"

namespace fetcher {

struct KafkaDeadLettersOptions {
    KafkaCluster cluster;
    std::string topic;
};

// Touches the network with the first dead letter.
std::unique_ptr<DeadLetters> make_kafka_dead_letters(KafkaDeadLettersOptions options);

}  // namespace fetcher
