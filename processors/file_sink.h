// FileSink: appends a consumer's records to files, each exactly once. One file for all partitions, or with {partition} in the path one each.
//
// The guarantee and its limits: processors/README.md. Thread: worker; its sync thread calls only Acks
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "engine/processor.h"
#include "processors/file_sink_options.h"
#include "processors/sink_file.h"
#include "processors/sync_thread.h"
#include "processors/system_calls.h"

namespace fetcher {

class FileSink final : public Processor {
  public:
    // calls outlives the processor.
    FileSink(FileSinkOptions options, ProcessorOwner owner, ProcessorEnvironment environment, SystemCalls& calls);

    RecordParts parts() const override;
    void bind(Acks& acks) override { sync_.bind(acks); }
    Result<std::optional<Position>> open(const std::shared_ptr<Assignment>& assignment) override;
    Outcome write(const Batch& batch, size_t first) override;
    Outcome flush() override;
    void close(const Assignment& assignment) override;
    std::optional<Clock::time_point> wake_at() const override;
    Outcome on_timer() override;

  private:
    Result<SinkFile*> file_for(int32_t partition);
    void drop_if_unused(SinkFile* file);

    const FileSinkOptions options_;
    const ProcessorOwner owner_;
    const ProcessorEnvironment environment_;
    SystemCalls& calls_;
    SyncThread sync_;  // outlives the files
    std::map<std::string, std::unique_ptr<SinkFile>> files_;  // by path
    std::unordered_map<int32_t, SinkFile*> by_partition_;     // those that are open
};

}  // namespace fetcher
