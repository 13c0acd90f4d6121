// Where delivery of a partition begins: the decision alone, without I/O, so that every case has a test.
//
// Each processor begins at its sink's own position, or at the group's committed offset where it has none, or where auto_offset_reset says.
// Reading begins at the lowest of them, but those that lie far below the highest do not make it wait: they begin behind, each with a
// reading of its own. What cannot be trusted is refused or told, never papered over.
// Thread: any
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/processor.h"
#include "engine/result.h"
#include "engine/source.h"

namespace fetcher {

constexpr int64_t kFarApart = 100'000;  // offsets

struct StartQuestion {
    int32_t partition = 0;
    std::string topic_id;                            // now; empty: not known
    PartitionBounds bounds;                          // now
    bool latest = false;                             // auto_offset_reset
    int64_t first_end = 0;                           // `latest` means: of what comes after this. The log's end when the partition came
    std::vector<std::optional<Position>> positions;  // of each processor, in order
    std::optional<LogCut> cut;                       // found in the log: who holds what is gone begins where it was cut
};

struct StartDecision {
    int64_t read_from = 0;
    std::vector<int64_t> begin;     // of each processor: it sees nothing below. Who begins below read_from begins behind
    std::vector<LeaderEpoch> last;  // of each processor: of the last record below that, which the log must still hold; known where that can be asked
    std::vector<std::string> gaps;  // records that are gone for good, or a topic that is a new one: each a sentence for a person
};

// fatal where a position lies beyond the end of the same topic's log: the log was cut, and any guess would lose or repeat records.
Result<StartDecision> decide_start(const StartQuestion& question);

// How a source is to begin, for `begin` to be the first that is new: behind the last record, whose epoch the broker is asked about.
PartitionStart start_behind(int32_t partition, int64_t begin, const LeaderEpoch& last);

}  // namespace fetcher
