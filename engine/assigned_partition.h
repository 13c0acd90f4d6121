// AssignedPartition: the poll thread's state of one partition while this process has it.
// Thread: poll
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/assignment.h"
#include "engine/given_records.h"
#include "engine/offset_tracker.h"
#include "engine/processor.h"
#include "engine/source.h"

namespace fetcher {

// A processor's part in an assigned partition.
struct Share {
    enum class State {
        opening,  // its sink has not said where it stands, or its processor has failed
        opened,   // it has; the broker is to be asked where the log begins
        sharing,  // it is given what is read for all
        behind,   // it is not; a cursor of its own reads for it from `next` on, when it has room
    };
    State state = State::opening;
    std::optional<Position> position;
    LeaderEpoch last;                // of the last record below where it begins, or below `next`
    int in_lane = 0;                 // batches of the partition that it has not given back
    Clock::time_point heard{};       // when it last gave one back
    Clock::time_point blocking{};    // since when it alone keeps the others waiting; {}: it does not
    int64_t next = -1;               // behind: the first offset it has not been given
    bool more = true;                // behind: the cursor's queue may hold something although the doorbell is silent
    GivenRecords given;              // best effort
};

// Records from the offset `from` to below `end`, of one leader epoch.
struct EpochSpan {
    int64_t from = 0;
    int64_t end = 0;
    int32_t number = -1;
};

struct AssignedPartition {
    enum class State {
        opening,  // no required sink has said where it stands yet, or the broker not where the log begins; nothing is drained
        flowing,
        closing,  // no more is drained; the sinks flush
    };

    State state = State::opening;
    std::shared_ptr<Assignment> assignment;
    std::unique_ptr<PartitionQueue> queue;

    std::vector<Share> shares;  // by processor

    // opening
    Clock::time_point patience{};      // when it begins without those whose sinks have not answered
    std::optional<int64_t> first_end;  // the log's end as first heard in this assignment

    // flowing
    std::optional<OffsetTracker> tracker;
    int64_t next_offset = -1;        // next to be drained for all who share
    LeaderEpoch last;                // of the last record below that
    LeaderEpoch highest;             // of the last record of who has more than all who share; looked at when that is passed
    std::vector<EpochSpan> spans;    // of the records that are not committed yet, ascending
    std::optional<LogCut> cut;       // found: it is to be opened anew
    bool more = true;                // the queue may hold something although the doorbell is silent
    int64_t commit_asked = -1;       // last offset sent to the broker
    int64_t committed = -1;          // last offset it acknowledged
    int64_t asked_log_end = -1;

    // closing
    size_t to_close = 0;           // processors
    size_t required_to_close = 0;
};

}  // namespace fetcher
