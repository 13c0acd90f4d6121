// KafkaPartitionQueue: the queue of one assigned partition, which librdkafka fills and the poll thread drains.
// Thread: poll
#pragma once

#include <vector>

#include "engine/kafka_handles.h"
#include "engine/source.h"

namespace fetcher {

constexpr uint64_t kDoorbellRing = 1;  // what librdkafka writes to the doorbell's eventfd; it keeps the pointer's bytes, not the pointer

class KafkaPartitionQueue final : public PartitionQueue {
  public:
    // How many messages one call takes from a queue: bounds the array, and how far a batch can overshoot.
    static constexpr size_t kMaxMessages = 2048;

    // Takes the queue. `messages`, kMaxMessages long, is scratch that all queues of a client share; it outlives them.
    KafkaPartitionQueue(rd_kafka_queue_t* queue, std::vector<rd_kafka_message_t*>& messages, int doorbell);
    ~KafkaPartitionQueue() override;

    DrainResult drain(Batch& batch, RecordParts parts, size_t target_bytes) override;

  private:
    KafkaQueue queue_;
    std::vector<rd_kafka_message_t*>& messages_;
    size_t typical_bytes_ = 256;
};

}  // namespace fetcher
