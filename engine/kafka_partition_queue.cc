#include "engine/kafka_partition_queue.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "engine/kafka_client.h"

namespace fetcher {
namespace {

std::optional<std::string_view> bytes(const void* data, size_t size) {
    if (!data) return std::nullopt;
    return std::string_view(static_cast<const char*>(data), size);
}

// librdkafka tells of a log that was cut by this code, and where it was in words alone.
void take_cut(const rd_kafka_message_t& message, DrainResult& result) {
    const char* text = rd_kafka_message_errstr(&message);
    if (!text || !std::strstr(text, rd_kafka_err2str(RD_KAFKA_RESP_ERR__LOG_TRUNCATION))) return;
    LogCut cut;
    int64_t position = 0;
    const int found = std::sscanf(text, "Partition log truncation detected at offset %" SCNd64 " (leader epoch %" SCNd32 "): broker end offset is %" SCNd64,
                                  &position, &cut.leader_epoch, &cut.offset);
    if (found == 3 && cut.offset >= 0) result.cut = cut;
    else result.error = Error{ErrorKind::transient, std::string("the log was cut, and the broker cannot tell where; use a new consumer_group to start anew: ") + text};
}

// Epochs only rise: that of the last message tells for all whether there is a new one, and only then each is looked at.
void take_epochs(const std::vector<rd_kafka_message_t*>& messages, size_t count, Batch& batch) {
    while (count > 0 && messages[count - 1]->err) count--;
    if (count == 0 || rd_kafka_message_leader_epoch(messages[count - 1]) == batch.epochs.latest()) return;
    for (size_t i = 0; i < count; i++) {
        if (messages[i]->err) continue;
        if (const int32_t epoch = rd_kafka_message_leader_epoch(messages[i]); epoch != batch.epochs.latest() || batch.epochs.starts.empty())
            batch.epochs.starts.push_back({messages[i]->offset, epoch});
    }
}

void take(const rd_kafka_message_t& message, Batch& batch, RecordParts parts, DrainResult& result) {
    if (result.error || result.cut) return;
    if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        batch.set_next_offset(std::max(batch.next_offset(), message.offset));
        return;
    }
    if (message.err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) take_cut(message, result);
    if (message.err && !result.error && !result.cut) {
        result.error = Error{ErrorKind::transient, std::string(rd_kafka_err2name(message.err)) + ": " + rd_kafka_message_errstr(&message)};
    }
    if (message.err) return;
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
    while (filled < target_bytes && !result.error && !result.cut) {
        const size_t want = std::clamp<size_t>((target_bytes - filled) / typical_bytes_ + 1, 1, kMaxMessages);
        const ssize_t got = rd_kafka_consume_batch_queue(queue_.get(), 0, messages_.data(), want);
        take_epochs(messages_, static_cast<size_t>(std::max<ssize_t>(0, got)), batch);
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
