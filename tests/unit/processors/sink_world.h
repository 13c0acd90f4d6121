// SinkWorld: a FileSink on a simulated disk, the engine that feeds it, and the judge that reads what it left.
// Records are "PARTITION:OFFSET:filler"; offsets have gaps as those of a compacted topic.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/batch.h"
#include "processors/file_sink.h"
#include "sim_disk.h"

namespace fetcher {

std::shared_ptr<Assignment> make_assignment(int32_t partition, const std::string& group = "group",
                                            const std::string& topic_id = "topic-id-1");

// The ack side of the engine: remembers the highest position of each partition and the failures.
class RecordingAcks final : public Acks {
  public:
    void durable(const std::shared_ptr<Assignment>& assignment, int64_t next_offset) override;
    void failed(Error error) override;
    int64_t durable_below(int32_t partition) const;
    std::optional<Error> failure() const;
    void forget_failure();

  private:
    mutable std::mutex mutex_;
    std::map<int32_t, int64_t> durable_;
    std::optional<Error> failure_;
};

class SinkWorld {
  public:
    struct Setup {
        std::string file_path = "/root/in/sink.log";
        std::string group = "group";
        SinkFormat format = {};
        uint64_t rotate_bytes = 0;
        std::chrono::milliseconds fsync_interval = std::chrono::hours(1);  // only flush() syncs: the calls come in a fixed order
        int32_t partitions = 2;
        int64_t records = 60;        // per partition
        int64_t records_a_batch = 7;
        int flush_every = 3;         // batches of each partition; 0: only at the end
    };
    explicit SinkWorld(Setup setup) : setup_(std::move(setup)) {}

    SimDisk disk;
    RecordingAcks acks;

    // A process from its start to its end: opens, writes from its positions on, flushes. Why it did not come to the end, or nullopt.
    std::optional<std::string> live();
    // Opens, checks that the files hold exactly what the positions say, closes. Why that is not so, or nullopt.
    std::optional<std::string> audit();
    // Whether every record is there once, in order per partition.
    std::optional<std::string> is_complete();

    std::unique_ptr<FileSink> make_sink();
    void fill(Batch& batch, const std::shared_ptr<Assignment>& assignment, int64_t from) const;
    std::vector<std::string> lines() const;  // of all files, finished ones first

  private:
    std::optional<std::string> feed(FileSink& sink, std::map<int32_t, int64_t>& next, std::vector<std::shared_ptr<Assignment>>& all);
    std::optional<std::string> compare(const std::map<int32_t, int64_t>& next) const;

    const Setup setup_;
};

}  // namespace fetcher
