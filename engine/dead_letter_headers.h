// The names of the headers that a dead letter has in addition to those of its record. Part of the product's interface: never changed.
#pragma once

namespace fetcher::dead_letter_header {

constexpr const char* kPrefix = "kafka-fetcher-";
constexpr const char* kError = "kafka-fetcher-error";
constexpr const char* kProcessorId = "kafka-fetcher-processor-id";
constexpr const char* kProcessorType = "kafka-fetcher-processor-type";
constexpr const char* kConsumerId = "kafka-fetcher-consumer-id";
constexpr const char* kGroup = "kafka-fetcher-group";
constexpr const char* kTopic = "kafka-fetcher-topic";
constexpr const char* kPartition = "kafka-fetcher-partition";
constexpr const char* kOffset = "kafka-fetcher-offset";
constexpr const char* kTimestamp = "kafka-fetcher-timestamp";
constexpr const char* kFailedAt = "kafka-fetcher-failed-at";
constexpr const char* kReplays = "kafka-fetcher-replays";

}  // namespace fetcher::dead_letter_header
