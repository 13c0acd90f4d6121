// KafkaAdmin: what the monitoring routes ask a cluster. Each call opens a short-lived client, or reuses a recent one of the same servers.
// Thread: any
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include <tl/expected.hpp>

#include "engine/kafka_properties.h"

namespace fetcher {

struct KafkaAdminError {
    enum class Kind { unreachable, unknown_group, unknown_topic, refused };
    Kind kind;
    std::string reason;
};

struct PartitionLag {
    int64_t current_offset = 0;  // committed
    int64_t log_end_offset = 0;
    int64_t lag = 0;             // never negative
};

class KafkaAdmin {
  public:
    template <class T>
    using Answer = tl::expected<T, KafkaAdminError>;
    using Offsets = std::map<std::string, std::map<int32_t, int64_t>>;  // topic -> partition -> committed offset

    // Every committed offset of the group, over all topics. unknown_group where the cluster has no such group.
    static Answer<Offsets> group_offsets(const KafkaCluster& cluster, const std::string& group, std::chrono::milliseconds timeout);
    // For each partition of the topic. A partition without a commit counts from the log's start, as a new consumer would.
    static Answer<std::map<int32_t, PartitionLag>> group_lag(const KafkaCluster& cluster, const std::string& group, const std::string& topic,
                                                             std::chrono::milliseconds timeout);
};

}  // namespace fetcher
