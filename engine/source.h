// Source: where a consumer's records come from, as the poll thread sees it. KafkaSource is the real one; tests have a fake.
// Thread: poll
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/batch.h"
#include "engine/result.h"

namespace fetcher {

constexpr int64_t kNotKnownYet = -1;  // as PartitionStart::offset in assign(): nothing is drained before seek() tells

struct PartitionStart {
    int32_t partition = 0;
    int64_t offset = 0;
    int32_t leader_epoch = -1;  // of the last record below; the broker is asked whether the log below is still that one. -1: it is not
};

struct TopicInfo {
    int32_t partitions = 0;
    std::string topic_id;  // base64; empty where the broker does not tell
};

// What the cluster knows of a partition when it is assigned.
struct PartitionBounds {
    std::optional<int64_t> committed;  // of the group
    int64_t low = 0;                   // first offset of the log
    int64_t high = 0;                  // log end offset
    bool committed_elsewhere = false;  // what the group has committed is of a former topic of this name; then `committed` is empty
    int32_t committed_epoch = -1;      // of the last record below `committed`
};

struct SourceTrouble {
    enum class Kind {
        broker_unreachable,  // the client goes on trying
        topic_missing,       // deleted under us
        hiccup,              // the client goes on by itself
        outdated,            // the cluster or the topic is not what this client takes it for: make a new one
        fatal,               // the client is of no use any more
    };
    Kind kind = Kind::hiccup;
    std::string reason;
};

// Called inside Source::serve() and Source::close().
class SourceEvents {
  public:
    virtual ~SourceEvents() = default;
    virtual void on_assigned(const std::vector<int32_t>& partitions) = 0;  // must call assign()
    // Must drain what it wants to keep, then call unassign(). lost: the group gave them to somebody else already; nothing can be committed.
    virtual void on_revoked(const std::vector<int32_t>& partitions, bool lost) = 0;
    virtual void on_committed(const std::vector<PartitionStart>& offsets, const std::string& error) = 0;  // error empty: done
    virtual void on_log_ends(const std::map<int32_t, int64_t>& log_end_offsets, bool all) = 0;  // all: of each that was asked for
    virtual void on_trouble(const SourceTrouble& trouble) = 0;
};

struct DrainResult {
    bool more = false;           // the batch is full, the queue may not be empty
    std::optional<Error> error;  // of this partition; the source must be started anew
    std::optional<LogCut> cut;   // of what was read; nothing more comes before a restart
};

// One partition's own queue. Not draining it is its backpressure.
class PartitionQueue {
  public:
    virtual ~PartitionQueue() = default;
    // Moves records into the batch until it holds about target_bytes or the queue is empty. Never waits.
    virtual DrainResult drain(Batch& batch, RecordParts parts, size_t target_bytes) = 0;
};

class Source {
  public:
    virtual ~Source() = default;

    // Waits up to the timeout for an answer; transient while broker or topic are missing, fatal where the broker lets nobody in with this
    // password, certificate or role.
    virtual Result<TopicInfo> find_topic(std::chrono::milliseconds timeout) = 0;
    // Joins the group, if it is to be a member; events come from now on.
    virtual Result<void> subscribe(SourceEvents& events) = 0;
    // Serves rebalances, errors and answers that have arrived; never waits for more.
    virtual void serve() = 0;

    virtual Result<std::map<int32_t, PartitionBounds>> bounds(const std::vector<int32_t>& partitions, std::chrono::milliseconds timeout) = 0;
    virtual std::unique_ptr<PartitionQueue> queue(int32_t partition) = 0;  // before assign()
    virtual void assign(const std::vector<PartitionStart>& starts) = 0;
    virtual void unassign(const std::vector<int32_t>& partitions) = 0;
    // Begins a partition anew that has come to an end with a cut, where `all`, every partition that is assigned, says; what of the others was not drained
    // comes again from where it says.
    virtual void restart(int32_t partition, const std::vector<PartitionStart>& all) = 0;
    virtual Result<void> seek(const PartitionStart& start, std::chrono::milliseconds timeout) = 0;

    virtual void commit_async(const std::vector<PartitionStart>& next_offsets) = 0;
    virtual Result<void> commit(const std::vector<PartitionStart>& next_offsets, std::chrono::milliseconds timeout) = 0;
    // The log's end as the last fetch told, without asking; -1: not known.
    virtual int64_t fetched_log_end(int32_t partition) = 0;
    // Answered through on_log_ends. Asks too whether this is still the topic that find_topic() found; another of its name is fatal trouble.
    virtual void ask_log_ends(const std::vector<int32_t>& partitions) = 0;

    virtual void close(std::chrono::milliseconds timeout) = 0;  // leaves the group; events no more
};

}  // namespace fetcher
