// AssignedPartition: the poll thread's state of one partition while this process has it.
// Thread: poll
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/assignment.h"
#include "engine/offset_tracker.h"
#include "engine/processor.h"
#include "engine/source.h"

namespace fetcher {

struct AssignedPartition {
    enum class State {
        opening,  // the sinks are asked where they stand, or the broker where the log begins; nothing is drained
        flowing,
        closing,  // no more is drained; the sinks flush
    };

    State state = State::opening;
    std::shared_ptr<Assignment> assignment;
    std::unique_ptr<PartitionQueue> queue;

    // opening
    std::vector<std::optional<Position>> positions;  // by processor
    std::vector<bool> opened;                        // by processor
    size_t to_open = 0;
    std::optional<int64_t> first_end;  // the log's end as first heard in this assignment

    // flowing
    std::optional<OffsetTracker> tracker;
    int64_t next_offset = -1;        // next to be drained
    bool more = true;                // the queue may hold something although the doorbell is silent
    int in_lanes = 0;                // batches of it that some worker has not given back
    int64_t commit_asked = -1;       // last offset sent to the broker
    int64_t committed = -1;          // last offset it acknowledged
    int64_t asked_log_end = -1;

    // closing
    size_t to_close = 0;

    bool all_opened() const { return to_open == 0; }
};

}  // namespace fetcher
