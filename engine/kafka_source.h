// KafkaSource: the Source that is a member of a consumer group, or reads beside it, through librdkafka.
//
// Each assigned partition keeps a queue of its own, and every queue rings the poll thread's one doorbell; nothing is polled.
// Neither pause() nor auto commit is used. auto.offset.reset is "error": where to start is decided by start_offsets.h, never silently.
// Thread: poll (log lines come from librdkafka's own threads)
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/doorbell.h"
#include "engine/kafka_properties.h"
#include "engine/source.h"

namespace fetcher {

struct KafkaSourceOptions {
    KafkaCluster cluster;
    std::string topic;
    std::string group;
    // False: it reads what assign() names and is no member of the group; it asks with the group's name, and commits nothing.
    bool member = true;
    std::string group_instance_id;
    std::string partition_assignment_strategy;
    std::chrono::milliseconds session_timeout{10'000};
    std::chrono::milliseconds max_poll_interval{300'000};
    size_t prefetch_bytes_per_partition = 8 << 20;
};

class KafkaSource final : public Source {
  public:
    // The doorbell outlives the source.
    static Result<std::unique_ptr<KafkaSource>> create(const KafkaSourceOptions& options, Doorbell& doorbell);
    ~KafkaSource() override;

    Result<TopicInfo> find_topic(std::chrono::milliseconds timeout) override;
    Result<void> subscribe(SourceEvents& events) override;
    void serve() override;
    Result<std::map<int32_t, PartitionBounds>> bounds(const std::vector<int32_t>& partitions, std::chrono::milliseconds timeout) override;
    std::unique_ptr<PartitionQueue> queue(int32_t partition) override;
    void assign(const std::vector<PartitionStart>& starts) override;
    void unassign(const std::vector<int32_t>& partitions) override;
    void restart(int32_t partition, const std::vector<PartitionStart>& all) override;
    Result<void> seek(const PartitionStart& start, std::chrono::milliseconds timeout) override;
    void commit_async(const std::vector<PartitionStart>& next_offsets) override;
    Result<void> commit(const std::vector<PartitionStart>& next_offsets, std::chrono::milliseconds timeout) override;
    int64_t fetched_log_end(int32_t partition) override;
    void ask_log_ends(const std::vector<int32_t>& partitions) override;
    void close(std::chrono::milliseconds timeout) override;

  private:
    struct Client;
    explicit KafkaSource(std::unique_ptr<Client> client);
    int64_t first_known(int32_t partition) const;
    const std::unique_ptr<Client> client_;
};

}  // namespace fetcher
