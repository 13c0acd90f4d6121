// DatabaseSync: writes a consumer's records to a table of PostgreSQL, each exactly once: rows and position are one transaction.
//
// The guarantee and its limits: processors/README.md. Thread: worker; its writers' threads call only Acks
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/processor.h"
#include "processors/database_connector.h"
#include "processors/database_sync_options.h"
#include "processors/database_table.h"
#include "processors/database_writer.h"
#include "processors/row_encoder.h"

namespace fetcher {

class DatabaseSync final : public Processor {
  public:
    DatabaseSync(DatabaseSyncOptions options, ProcessorOwner owner, const ProcessorEnvironment& environment);

    RecordParts parts() const override;
    void bind(Acks& acks) override;
    Result<std::optional<Position>> open(const std::shared_ptr<Assignment>& assignment) override;
    Outcome write(const Batch& batch, size_t first) override;
    Outcome flush() override;
    void close(const Assignment& assignment) override;
    std::optional<Clock::time_point> wake_at() const override;
    Outcome on_timer() override;

  private:
    struct Partition {
        std::shared_ptr<Assignment> assignment;
        std::string topic_id;             // of its row in fetcher_positions
        std::optional<int64_t> stored;    // where the row stands once everything handed over is written; nullopt: there is no row yet
        std::optional<int64_t> appended;  // records below it have been handed over in this stay
    };
    using HeldBatch = std::shared_ptr<const Batch>;  // given back with the last of those who need it
    struct Waiting {
        HeldBatch batch;
        size_t first = 0;
    };
    struct Lane {
        std::deque<Waiting> waiting;  // batches that the writer has no room for yet; only where refused records become dead letters
        std::unique_ptr<RowEncoder> encoder;
        std::unique_ptr<DatabaseWriter> writer;
    };

    Lane& lane_of(int32_t partition) { return lanes_[static_cast<size_t>(partition) % lanes_.size()]; }
    DatabaseResult<Standing> ask(const Assignment& assignment);
    DatabaseResult<void> set_up();
    Outcome hold(Lane& lane, const Batch& batch, size_t first);
    std::optional<Outcome> catch_up(Lane& lane);
    std::optional<Outcome> hand_over(Partition& partition, Lane& lane, const Batch& batch, size_t first, const HeldBatch& held, std::optional<BadRecord>& bad);
    std::optional<BadRecord> append(Partition& partition, Lane& lane, RowBlock& block, const Batch& batch, size_t from, const HeldBatch& held);
    std::string trouble() const;

    const DatabaseSyncOptions options_;
    const ProcessorOwner owner_;
    const DatabaseConnector connector_;
    Acks* acks_ = nullptr;
    bool holds_ = false;  // batches are kept until their rows are committed: refused records become dead letters
    StopSignal opening_;  // follows the assignment that is opened
    std::unique_ptr<DatabaseConnection> questions_;  // for opening; closed when nothing has been opened for a while
    Clock::time_point close_questions_at_{};
    std::optional<DatabaseTable> table_;
    WriterRoom room_;
    std::vector<Lane> lanes_;
    std::map<int32_t, Partition> partitions_;
    Clock::time_point next_look_{};
    bool told_trouble_ = false;
};

}  // namespace fetcher
