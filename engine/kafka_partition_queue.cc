#include "engine/kafka_partition_queue.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "engine/kafka_client.h"

namespace fetcher {
namespace {

std::optional<std::string_view> bytes(const void* data, size_t size) {
    if (!data) return std::nullopt;
    return std::string_view(static_cast<const char*>(data), size);
}

void take(const rd_kafka_message_t& message, Batch& batch, RecordParts parts, DrainResult& result) {
    if (result.error) return;
    if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        batch.set_next_offset(std::max(batch.next_offset(), message.offset));
        return;
    }
    if (message.err) {
        result.error = Error{ErrorKind::transient, std::string(rd_kafka_err2name(message.err)) + ": " + rd_kafka_message_errstr(&message)};
        return;
    }
    if (message.offset < batch.next_offset()) return;  // delivered before
    batch.add(message.offset, rd_kafka_message_timestamp(&message, nullptr), bytes(message.payload, message.len));
    if (parts.keys) batch.add_key(bytes(message.key, message.key_len));
    if (!parts.headers) return;
    for_each_header(message, [&](const char* name, const void* value, size_t size) { batch.add_header(name, bytes(value, size)); });
}

}  // namespace

KafkaPartitionQueue::KafkaPartitionQueue(rd_kafka_queue_t* queue, std::vector<rd_kafka_message_t*>& messages, int doorbell)
    : queue_(queue), messages_(messages) {
    rd_kafka_queue_forward(queue, nullptr);
    rd_kafka_queue_io_event_enable(queue, doorbell, &kDoorbellRing, sizeof kDoorbellRing);
}

KafkaPartitionQueue::~KafkaPartitionQueue() { rd_kafka_queue_io_event_enable(queue_.get(), -1, nullptr, 0); }

DrainResult KafkaPartitionQueue::drain(Batch& batch, RecordParts parts, size_t target_bytes) {
    DrainResult result;
    size_t filled = 0;
    while (filled < target_bytes && !result.error) {
        const size_t want = std::clamp<size_t>((target_bytes - filled) / typical_bytes_ + 1, 1, kMaxMessages);
        const ssize_t got = rd_kafka_consume_batch_queue(queue_.get(), 0, messages_.data(), want);
        for (ssize_t i = 0; i < got; i++) {
            take(*messages_[static_cast<size_t>(i)], batch, parts, result);
            rd_kafka_message_destroy(messages_[static_cast<size_t>(i)]);
        }
        filled = batch.filled_bytes();
        if (batch.size() > 0) typical_bytes_ = std::max<size_t>(1, filled / batch.size());
        if (got < static_cast<ssize_t>(want)) return result;
    }
    result.more = true;
    return result;
}

}  // namespace fetcher
