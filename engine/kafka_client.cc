#include "engine/kafka_client.h"

#include <spdlog/spdlog.h>

namespace fetcher {
namespace {

constexpr int kSyslogError = 3;
constexpr int kSyslogWarning = 4;

void to_our_log(const rd_kafka_t*, int level, const char* facility, const char* text) {
    // A broker that is away makes librdkafka repeat itself; the consumer's health carries that, so its lines are for debugging.
    if (level < kSyslogError) {
        spdlog::error("kafka: {}: {}", facility, text);
    } else if (level <= kSyslogWarning) {
        spdlog::debug("kafka: {}: {}", facility, text);
    } else {
        spdlog::trace("kafka: {}: {}", facility, text);
    }
}

}  // namespace

Result<KafkaConf> make_kafka_conf(const KafkaProperties& properties) {
    KafkaConf conf(rd_kafka_conf_new());
    rd_kafka_conf_set_log_cb(conf.get(), to_our_log);
    char error[512];
    for (const auto& [name, value] : properties) {
        if (rd_kafka_conf_set(conf.get(), name, value.c_str(), error, sizeof error) != RD_KAFKA_CONF_OK) {
            return fatal(std::string("Kafka client property ") + name + ": " + error);
        }
    }
    return conf;
}

Result<KafkaHandle> make_kafka_client(rd_kafka_type_t type, KafkaConf conf) {
    char error[512];
    KafkaHandle client(rd_kafka_new(type, conf.get(), error, sizeof error));
    if (!client) return fatal(std::string("Kafka client: ") + error);
    (void)conf.release();  // the client's now
    return client;
}

KafkaAdminOptions admin_options(rd_kafka_t* client, rd_kafka_admin_op_t what, std::chrono::milliseconds timeout) {
    KafkaAdminOptions options(rd_kafka_AdminOptions_new(client, what));
    char error[128];
    rd_kafka_AdminOptions_set_request_timeout(options.get(), timeout_ms(timeout), error, sizeof error);
    return options;
}

Result<KafkaEvent> await_event(rd_kafka_queue_t* queue, std::chrono::milliseconds timeout) {
    KafkaEvent event(rd_kafka_queue_poll(queue, timeout_ms(timeout)));
    if (!event) return transient("no answer from the broker within " + std::to_string(timeout.count()) + " ms");
    if (rd_kafka_event_error(event.get())) return transient(rd_kafka_event_error_string(event.get()));
    return event;
}

KafkaPartitionList partition_list(const std::string& topic, const std::vector<int32_t>& partitions, int64_t offset) {
    KafkaPartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
    for (const int32_t p : partitions) rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), p)->offset = offset;
    return list;
}

void ask_log_offsets(rd_kafka_t* client, const std::string& topic, const std::vector<int32_t>& partitions, rd_kafka_OffsetSpec_t spec,
                     std::chrono::milliseconds timeout, rd_kafka_queue_t* queue) {
    const auto list = partition_list(topic, partitions, spec);
    const auto options = admin_options(client, RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout);
    rd_kafka_ListOffsets(client, list.get(), options.get(), queue);
}

std::vector<LogOffset> log_offsets(const rd_kafka_event_t* answer) {
    std::vector<LogOffset> found;
    const auto* result = rd_kafka_event_ListOffsets_result(const_cast<rd_kafka_event_t*>(answer));
    if (!result) return found;
    size_t count = 0;
    const auto** infos = rd_kafka_ListOffsets_result_infos(result, &count);
    for (size_t i = 0; i < count; i++) {
        const auto* at = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        found.push_back({at->partition, at->offset, at->err});
    }
    return found;
}

}  // namespace fetcher
