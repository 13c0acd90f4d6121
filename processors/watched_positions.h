// WatchedPositions: where the rows of a writer's partitions in fetcher_positions stand as far as we know.
// Thread: any
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "processors/block_transaction.h"
#include "processors/row_block.h"

namespace fetcher {

class WatchedPositions {
  public:
    // The position of the assignment's partition is stored as `next` (nullopt: not yet) under this topic id.
    void watch(const std::shared_ptr<Assignment>& assignment, const std::string& topic_id, std::optional<int64_t> next);
    // It is there now. inherited: perhaps not by us.
    void note(const PositionMove& move, std::optional<int64_t> next, bool inherited);
    // Transactions of ours would have taken the moves there; their answers were lost.
    void note_unanswered(const RowBlock& block);
    // Whether it may be by a transaction of ours that the position has moved there.
    bool may_be_ours(const Assignment& assignment, int64_t next) const;
    // Of partitions that are ours still.
    std::vector<BlockTransaction::Expected> expected();

  private:
    struct Watched {
        std::shared_ptr<Assignment> assignment;
        std::string topic_id;
        std::optional<int64_t> next;
        // We have not moved it yet: the server may finish the last transaction of a process that was killed after our start.
        bool inherited = true;
        // Where transactions of ours would have taken it whose answers were lost.
        std::vector<int64_t> unanswered;
    };

    mutable std::mutex mutex_;
    std::vector<Watched> watched_;  // guarded by it
};

}  // namespace fetcher
