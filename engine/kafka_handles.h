// Holders for librdkafka's handles. Only the kafka_* files and demo_broker.cc include this.
#pragma once

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <memory>

namespace fetcher {

template <class T, void (*Destroy)(T*)>
struct DestroyWith {
    void operator()(T* handle) const { Destroy(handle); }
};
template <class T, void (*Destroy)(T*)>
using Holder = std::unique_ptr<T, DestroyWith<T, Destroy>>;

using KafkaConf = Holder<rd_kafka_conf_t, rd_kafka_conf_destroy>;
using KafkaHandle = Holder<rd_kafka_t, rd_kafka_destroy>;
// A consumer: whoever wants it closed closes it with a deadline; destroying must not begin a close without one.
inline void destroy_without_closing(rd_kafka_t* client) { rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE); }
using KafkaConsumerHandle = Holder<rd_kafka_t, destroy_without_closing>;
using KafkaQueue = Holder<rd_kafka_queue_t, rd_kafka_queue_destroy>;
using KafkaEvent = Holder<rd_kafka_event_t, rd_kafka_event_destroy>;
using KafkaPartitionList = Holder<rd_kafka_topic_partition_list_t, rd_kafka_topic_partition_list_destroy>;
using KafkaAdminOptions = Holder<rd_kafka_AdminOptions_t, rd_kafka_AdminOptions_destroy>;
using KafkaTopicCollection = Holder<rd_kafka_TopicCollection_t, rd_kafka_TopicCollection_destroy>;

inline int timeout_ms(std::chrono::milliseconds timeout) { return static_cast<int>(timeout.count()); }

}  // namespace fetcher
