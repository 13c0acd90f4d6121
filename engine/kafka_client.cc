#include "engine/kafka_client.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

#include "engine/ip_address.h"
#include "engine/kafka_errors.h"

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

// Wherever the name of a broker, or what a broker says of itself and the others, leads. Called in librdkafka's threads.
int connect_if_allowed(int socket, const sockaddr* to, int to_bytes, const char* broker, void*) {
    if (const auto address = IpAddress::of(*to); address && is_never_allowed(*address)) {
        static std::atomic<int64_t> told{-1};  // it is tried again and again
        const int64_t minute = std::chrono::duration_cast<std::chrono::minutes>(std::chrono::steady_clock::now().time_since_epoch()).count();
        if (told.exchange(minute) != minute)
            spdlog::warn("kafka: broker {} is at {}, a link-local or metadata address, to which nothing is ever sent", broker, address->text());
        return EACCES;
    }
    if (::connect(socket, to, static_cast<socklen_t>(to_bytes)) == 0 || errno == EINPROGRESS) return 0;
    return errno;
}

// The id of a broker that has just answered.
Result<int32_t> answering_broker(rd_kafka_t* client, std::chrono::milliseconds timeout) {
    const rd_kafka_metadata_t* metadata = nullptr;
    if (const auto error = rd_kafka_metadata(client, 0, nullptr, &metadata, timeout_ms(timeout))) {
        return transient(rd_kafka_err2str(error));
    }
    const int32_t id = metadata->orig_broker_id >= 0 || metadata->broker_cnt == 0 ? metadata->orig_broker_id : metadata->brokers[0].id;
    rd_kafka_metadata_destroy(metadata);
    if (id < 0) return transient("the broker's answer names no broker");
    return id;
}

TopicDescription read_description(const rd_kafka_TopicDescription_t* topic) {
    TopicDescription description;
    size_t count = 0;
    const auto** infos = rd_kafka_TopicDescription_partitions(topic, &count);
    for (size_t i = 0; i < count; i++) description.partitions.push_back(rd_kafka_TopicPartitionInfo_partition(infos[i]));
    const auto* id = rd_kafka_TopicDescription_topic_id(topic);
    if (id && (rd_kafka_Uuid_most_significant_bits(id) != 0 || rd_kafka_Uuid_least_significant_bits(id) != 0)) {
        description.topic_id = rd_kafka_Uuid_base64str(id);
    }
    return description;
}

}  // namespace

Result<KafkaConf> make_kafka_conf(const KafkaProperties& properties) {
    KafkaConf conf(rd_kafka_conf_new());
    rd_kafka_conf_set_log_cb(conf.get(), to_our_log);
    rd_kafka_conf_set_connect_cb(conf.get(), connect_if_allowed);
    char error[512];
    for (const auto& [name, value] : properties) {
        if (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), error, sizeof error) != RD_KAFKA_CONF_OK) {
            return fatal("Kafka client property " + name + ": " + error);
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

Result<void> seek_partitions(rd_kafka_t* client, const rd_kafka_topic_partition_list_t* list, std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    KafkaPartitionList left(rd_kafka_topic_partition_list_copy(list));
    while (left->cnt > 0) {
        const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (auto* error = rd_kafka_seek_partitions(client, left.get(), timeout_ms(std::max(rest, std::chrono::milliseconds(1))))) {
            const std::string why = rd_kafka_error_string(error);
            rd_kafka_error_destroy(error);
            return transient("cannot go to the start offsets: " + why);
        }
        for (int i = left->cnt - 1; i >= 0; i--) {
            auto& at = left->elems[i];
            // That it is not fetched yet is one of several things that this says; it never is for long.
            if (at.err == RD_KAFKA_RESP_ERR__STATE || at.err == RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS) {
                if (rest < std::chrono::milliseconds(1)) return transient(std::string("cannot go to the start offsets: ") + rd_kafka_err2str(at.err));
                at.err = RD_KAFKA_RESP_ERR_NO_ERROR;
                continue;
            }
            if (at.err) return transient("cannot go to offset " + std::to_string(at.offset) + ": " + rd_kafka_err2str(at.err));
            rd_kafka_topic_partition_list_del_by_idx(left.get(), i);
        }
        if (left->cnt > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return {};
}

void ask_topic(rd_kafka_t* client, const std::string& topic, int32_t broker, std::chrono::milliseconds timeout, rd_kafka_queue_t* queue) {
    const auto options = admin_options(client, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout);
    char refused[128];
    if (broker >= 0) rd_kafka_AdminOptions_set_broker(options.get(), broker, refused, sizeof refused);
    const char* name = topic.c_str();
    const KafkaTopicCollection topics(rd_kafka_TopicCollection_of_topic_names(&name, 1));
    rd_kafka_DescribeTopics(client, topics.get(), options.get(), queue);
}

Result<TopicDescription> topic_description(const rd_kafka_event_t* answer) {
    size_t count = 0;
    const auto* result = rd_kafka_event_DescribeTopics_result(const_cast<rd_kafka_event_t*>(answer));
    const auto** found = result ? rd_kafka_DescribeTopics_result_topics(result, &count) : nullptr;
    if (count != 1) return transient("the broker's answer does not describe the topic");
    const auto* error = rd_kafka_TopicDescription_error(found[0]);
    if (rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return TopicDescription{};
    const auto* name = rd_kafka_TopicDescription_name(found[0]);
    if (is_locked_out(rd_kafka_error_code(error), "")) return fatal(std::string("topic ") + name + ": " + rd_kafka_error_string(error));
    if (rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR_NO_ERROR) return transient(rd_kafka_error_string(error));
    return read_description(found[0]);
}

Result<TopicDescription> describe_topic(rd_kafka_t* client, const std::string& topic, std::chrono::milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    const auto any = answering_broker(client, timeout);
    if (!any) return tl::unexpected(any.error());
    const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const auto left = std::max(rest, std::chrono::milliseconds(100));
    const KafkaQueue queue(rd_kafka_queue_new(client));
    ask_topic(client, topic, *any, left, queue.get());
    const auto answer = await_event(queue.get(), left + std::chrono::milliseconds(200));
    if (!answer) return tl::unexpected(answer.error());
    auto description = topic_description(answer->get());
    if (description) description->told_by = *any;
    return description;
}

void ask_log_offsets(rd_kafka_t* client, const std::string& topic, const std::vector<int32_t>& partitions, rd_kafka_OffsetSpec_t spec,
                     std::chrono::milliseconds timeout, rd_kafka_queue_t* queue) {
    const auto list = partition_list(topic, partitions, spec);
    const auto options = admin_options(client, RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout);
    rd_kafka_ListOffsets(client, list.get(), options.get(), queue);
}

LogOffsets log_offsets(const rd_kafka_event_t* answer) {
    LogOffsets found;
    const auto* result = rd_kafka_event_ListOffsets_result(const_cast<rd_kafka_event_t*>(answer));
    if (!result) return found;
    size_t count = 0;
    const auto** infos = rd_kafka_ListOffsets_result_infos(result, &count);
    for (size_t i = 0; i < count; i++) {
        const auto* at = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        // Where a leader has not answered librdkafka hands out a negative number with no error.
        const bool silent = at->err ? is_silence(at->err) : at->offset < 0;
        found.answered |= !silent && !is_local(at->err);
        if (!silent && !at->err) {
            found.of_partition[at->partition] = at->offset;
            continue;
        }
        found.refused = "partition " + std::to_string(at->partition) + ": " + (silent ? "its leader does not answer" : rd_kafka_err2str(at->err));
        found.leader_is_on_its_way &= !silent && is_leader_on_its_way(at->err);
    }
    return found;
}

}  // namespace fetcher
