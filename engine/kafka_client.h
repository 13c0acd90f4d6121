// What KafkaSource and KafkaAdmin share: making a client, asking one question with a deadline. Includes librdkafka's header.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/kafka_handles.h"
#include "engine/kafka_properties.h"
#include "engine/result.h"

namespace fetcher {

using KafkaProperties = std::vector<std::pair<std::string, std::string>>;

// conf with the properties set, in their order, logs sent to ours, and no connection made to what is_never_allowed() (ip_address.h). fatal names the property that was refused. A client of a consumer's
// cluster, whatever it is for, is made with connection_properties() (kafka_properties.h) among them.
Result<KafkaConf> make_kafka_conf(const KafkaProperties& properties);
// A client; it takes the conf.
Result<KafkaHandle> make_kafka_client(rd_kafka_type_t type, KafkaConf conf);

// Options with both timeouts set, for an admin request.
KafkaAdminOptions admin_options(rd_kafka_t* client, rd_kafka_admin_op_t what, std::chrono::milliseconds timeout);
// The answer to an admin request on `queue`; transient after the timeout, or with the broker's words.
Result<KafkaEvent> await_event(rd_kafka_queue_t* queue, std::chrono::milliseconds timeout);

// The list with one topic's partitions, each at `offset`.
KafkaPartitionList partition_list(const std::string& topic, const std::vector<int32_t>& partitions, int64_t offset);

// Calls visit(name, value or nullptr, its size) for each header in the producer's order.
template <class Visit>
void for_each_header(const rd_kafka_message_t& message, Visit&& visit) {
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) visit(name, value, size);
}

// Goes to the list's offsets, also in partitions that are only about to be fetched. Where an element has a leader epoch, librdkafka asks the broker about it
// before it fetches, as it does not when the same is assigned. transient after the timeout.
Result<void> seek_partitions(rd_kafka_t* client, const rd_kafka_topic_partition_list_t* list, std::chrono::milliseconds timeout);

struct TopicDescription {
    std::vector<int32_t> partitions;  // empty: there is no such topic
    std::string topic_id;             // base64; empty where the broker does not tell
    int32_t told_by = -1;             // the broker's id, where describe_topic has asked
};
// Never creates the topic. Asks whichever broker answers first, since not every cluster has a controller to ask.
Result<TopicDescription> describe_topic(rd_kafka_t* client, const std::string& topic, std::chrono::milliseconds timeout);
// The same without waiting: the answer, RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT, comes to `queue`. broker: whom to ask; -1: the controller.
void ask_topic(rd_kafka_t* client, const std::string& topic, int32_t broker, std::chrono::milliseconds timeout, rd_kafka_queue_t* queue);
Result<TopicDescription> topic_description(const rd_kafka_event_t* answer);

struct LogOffsets {
    std::map<int32_t, int64_t> of_partition;
    bool answered = false;  // by any leader
    std::string refused;  // which partition has no answer, and why; empty: each has one
    bool leader_is_on_its_way = true;  // where refused: that is all; it moves, or the partition is so new that nobody knows yet that he leads it
};
// Asks for OFFSET_SPEC_EARLIEST or _LATEST of a topic's partitions; the answer comes to `queue`.
void ask_log_offsets(rd_kafka_t* client, const std::string& topic, const std::vector<int32_t>& partitions, rd_kafka_OffsetSpec_t spec,
                     std::chrono::milliseconds timeout, rd_kafka_queue_t* queue);
LogOffsets log_offsets(const rd_kafka_event_t* answer);

}  // namespace fetcher
