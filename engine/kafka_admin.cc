#include "engine/kafka_admin.h"

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "engine/kafka_client.h"
#include "engine/kafka_errors.h"

namespace fetcher {
namespace {

using Kind = KafkaAdminError::Kind;
using Millis = std::chrono::milliseconds;
using Deadline = std::chrono::steady_clock::time_point;

constexpr Millis kPause{100};  // before what is on its way is asked for again

tl::unexpected<KafkaAdminError> failed(Kind kind, std::string reason) { return tl::unexpected<KafkaAdminError>({kind, std::move(reason)}); }

Millis left(Deadline deadline) {
    return std::max(Millis(1), std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now()));
}

// A consumer that never subscribes, so it joins no group. A lighter kind will not do: when the coordinator is not there yet, librdkafka
// 2.14 asks the client's own group for it, and a client without a group crashes.
class Client {
  public:
    static KafkaAdmin::Answer<Client> connect(const KafkaCluster& cluster, const std::string& group) {
        auto properties = connection_properties(cluster);
        properties.emplace_back("client.id", "kafka-fetcher-monitor");
        properties.emplace_back("group.id", group);
        auto conf = make_kafka_conf(properties);
        if (!conf) return failed(Kind::refused, conf.error().reason);
        Client made;
        rd_kafka_conf_set_opaque(conf->get(), made.locked_out_.get());
        rd_kafka_conf_set_error_cb(conf->get(), [](rd_kafka_t*, int error, const char* text, void* locked_out) {
            if (is_locked_out(static_cast<rd_kafka_resp_err_t>(error), text)) *static_cast<std::string*>(locked_out) = text;
        });
        auto client = make_kafka_client(RD_KAFKA_CONSUMER, std::move(*conf));
        if (!client) return failed(Kind::refused, client.error().reason);
        made.handle_.reset(client->release());
        return made;
    }
    rd_kafka_t* get() const { return handle_.get(); }

    // The answer; where the broker has not let this client in, its words instead of that nobody answers.
    template <class T>
    KafkaAdmin::Answer<T> told(KafkaAdmin::Answer<T> answer) const {
        if (answer || answer.error().kind != Kind::unreachable) return answer;
        while (rd_kafka_poll(handle_.get(), 0) > 0) continue;
        if (locked_out_->empty()) return answer;
        return failed(Kind::refused, *locked_out_);
    }

  private:
    std::unique_ptr<std::string> locked_out_ = std::make_unique<std::string>();  // outlives the handle
    KafkaConsumerHandle handle_;
};

// Whether the cluster knows the group: it has members, or somebody committed something in its name.
KafkaAdmin::Answer<bool> group_has_members(rd_kafka_t* client, const std::string& group, Deadline deadline) {
    const char* name = group.c_str();
    const auto options = admin_options(client, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, left(deadline));
    const KafkaQueue queue(rd_kafka_queue_new(client));
    rd_kafka_DescribeConsumerGroups(client, &name, 1, options.get(), queue.get());
    auto answer = await_event(queue.get(), left(deadline));
    if (!answer) return failed(Kind::unreachable, answer.error().reason);
    size_t count = 0;
    const auto** groups =
        rd_kafka_DescribeConsumerGroups_result_groups(rd_kafka_event_DescribeConsumerGroups_result(answer->get()), &count);
    if (count != 1 || rd_kafka_ConsumerGroupDescription_error(groups[0])) return false;
    return rd_kafka_ConsumerGroupDescription_state(groups[0]) != RD_KAFKA_CONSUMER_GROUP_STATE_DEAD;
}

// A broker that has never had a group, or has just started, first says that it has no coordinator yet, and means: ask again.
bool is_coordinator_on_its_way(rd_kafka_resp_err_t error) {
    return error == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE || error == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS ||
           error == RD_KAFKA_RESP_ERR_NOT_COORDINATOR;
}

KafkaAdmin::Answer<KafkaEvent> ask_committed(rd_kafka_t* client, const std::string& group, const rd_kafka_topic_partition_list_t* partitions,
                                             Deadline deadline) {
    for (;;) {
        auto* request = rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), partitions);
        const auto options = admin_options(client, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, left(deadline));
        const KafkaQueue queue(rd_kafka_queue_new(client));
        rd_kafka_ListConsumerGroupOffsets(client, &request, 1, options.get(), queue.get());
        rd_kafka_ListConsumerGroupOffsets_destroy(request);
        KafkaEvent event(rd_kafka_queue_poll(queue.get(), timeout_ms(left(deadline))));
        if (!event) return failed(Kind::unreachable, "the broker does not answer");
        const auto error = rd_kafka_event_error(event.get());
        if (!error) return event;
        if (!is_coordinator_on_its_way(error) || left(deadline) <= kPause) return failed(Kind::unreachable, rd_kafka_event_error_string(event.get()));
        std::this_thread::sleep_for(kPause);
    }
}

// nullptr for `partitions`: of all topics.
KafkaAdmin::Answer<KafkaAdmin::Offsets> committed(rd_kafka_t* client, const std::string& group,
                                                  const rd_kafka_topic_partition_list_t* partitions, Deadline deadline) {
    const auto answer = ask_committed(client, group, partitions, deadline);
    if (!answer) return tl::unexpected(answer.error());
    size_t count = 0;
    const auto** groups =
        rd_kafka_ListConsumerGroupOffsets_result_groups(rd_kafka_event_ListConsumerGroupOffsets_result(answer->get()), &count);
    if (count != 1) return failed(Kind::unreachable, "the broker's answer names no group");
    if (const auto* error = rd_kafka_group_result_error(groups[0])) return failed(Kind::unreachable, rd_kafka_error_string(error));
    KafkaAdmin::Offsets offsets;
    const auto* list = rd_kafka_group_result_partitions(groups[0]);
    for (int i = 0; list && i < list->cnt; i++) {
        const auto& at = list->elems[i];
        if (!at.err && at.offset >= 0) offsets[at.topic][at.partition] = at.offset;
    }
    return offsets;
}

KafkaAdmin::Answer<std::vector<int32_t>> partitions_of(rd_kafka_t* client, const std::string& topic, Deadline deadline) {
    auto found = describe_topic(client, topic, left(deadline));
    if (!found) return failed(found.error().kind == ErrorKind::fatal ? Kind::refused : Kind::unreachable, found.error().reason);
    if (found->partitions.empty()) return failed(Kind::unknown_topic, "there is no topic " + topic);
    return std::move(found->partitions);
}

KafkaAdmin::Answer<std::map<int32_t, int64_t>> log_ends(rd_kafka_t* client, const std::string& topic, const std::vector<int32_t>& partitions,
                                                        rd_kafka_OffsetSpec_t spec, Deadline deadline) {
    for (;;) {
        const KafkaQueue queue(rd_kafka_queue_new(client));
        ask_log_offsets(client, topic, partitions, spec, left(deadline), queue.get());
        auto answer = await_event(queue.get(), left(deadline));
        if (!answer) return failed(Kind::unreachable, answer.error().reason);
        auto found = log_offsets(answer->get());
        if (found.refused.empty()) return std::move(found.of_partition);
        if (!found.leader_is_on_its_way || left(deadline) <= kPause) return failed(Kind::unreachable, found.refused);
        std::this_thread::sleep_for(kPause);
    }
}

KafkaAdmin::Answer<KafkaAdmin::Offsets> offsets_of(rd_kafka_t* client, const std::string& group, Deadline deadline) {
    auto offsets = committed(client, group, nullptr, deadline);
    if (!offsets || !offsets->empty()) return offsets;
    const auto known = group_has_members(client, group, deadline);
    if (!known) return tl::unexpected(known.error());
    if (!*known) return failed(Kind::unknown_group, "there is no consumer group " + group);
    return offsets;
}

KafkaAdmin::Answer<std::map<int32_t, PartitionLag>> lag_of(rd_kafka_t* client, const std::string& group, const std::string& topic,
                                                           Deadline deadline) {
    const auto partitions = partitions_of(client, topic, deadline);
    if (!partitions) return tl::unexpected(partitions.error());
    const auto list = partition_list(topic, *partitions, RD_KAFKA_OFFSET_INVALID);
    auto offsets = committed(client, group, list.get(), deadline);
    if (!offsets) return tl::unexpected(offsets.error());
    if (offsets->empty()) {
        const auto known = group_has_members(client, group, deadline);
        if (!known) return tl::unexpected(known.error());
        if (!*known) return failed(Kind::unknown_group, "there is no consumer group " + group);
    }
    const auto lows = log_ends(client, topic, *partitions, RD_KAFKA_OFFSET_SPEC_EARLIEST, deadline);
    if (!lows) return tl::unexpected(lows.error());
    const auto ends = log_ends(client, topic, *partitions, RD_KAFKA_OFFSET_SPEC_LATEST, deadline);
    if (!ends) return tl::unexpected(ends.error());
    std::map<int32_t, PartitionLag> lags;
    for (const auto& [p, end] : *ends) {
        const auto& of_topic = (*offsets)[topic];
        const auto at = of_topic.find(p);
        const int64_t current = at != of_topic.end() ? at->second : lows->at(p);
        lags[p] = {current, end, std::max<int64_t>(0, end - current)};
    }
    return lags;
}

}  // namespace

KafkaAdmin::Answer<KafkaAdmin::Offsets> KafkaAdmin::group_offsets(const KafkaCluster& cluster, const std::string& group, Millis timeout) {
    const Deadline deadline = std::chrono::steady_clock::now() + timeout;
    const auto client = Client::connect(cluster, group);
    if (!client) return tl::unexpected(client.error());
    return client->told(offsets_of(client->get(), group, deadline));
}

KafkaAdmin::Answer<std::map<int32_t, PartitionLag>> KafkaAdmin::group_lag(const KafkaCluster& cluster, const std::string& group,
                                                                          const std::string& topic, Millis timeout) {
    const Deadline deadline = std::chrono::steady_clock::now() + timeout;
    const auto client = Client::connect(cluster, group);
    if (!client) return tl::unexpected(client.error());
    return client->told(lag_of(client->get(), group, topic, deadline));
}

}  // namespace fetcher
