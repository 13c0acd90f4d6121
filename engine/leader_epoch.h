// LeaderEpoch: under which of a partition's leaders a record was written. The numbers rise with every new leader, so that of the last record
// below a position tells whether the log below is still the one that was read, or was cut there and has grown again under another leader.
// Thread: any
#pragma once

#include <cstdint>
#include <vector>

namespace fetcher {

struct LeaderEpoch {
    int32_t number = -1;  // Kafka's; -1: not known
    int64_t end = -1;     // the offset behind the last record that was read; positions may lie further, where no record is

    bool is_known() const { return number >= 0; }
    friend bool operator==(const LeaderEpoch&, const LeaderEpoch&) = default;
};

// The epochs of consecutive records: where each begins, ascending, and that of the last record before them all.
struct EpochStarts {
    struct Start {
        int64_t from = 0;  // offset
        int32_t number = -1;
    };
    LeaderEpoch before;
    std::vector<Start> starts;
    int32_t latest() const { return starts.empty() ? -1 : starts.back().number; }
};

// A log that was cut, as a broker tells it who asks with the last leader epoch that he knows.
struct LogCut {
    int64_t offset = -1;       // below it the log is the one that was read
    int32_t leader_epoch = -1;  // who knows a later one has read behind the cut

    // Whether somebody at `next` holds records that are gone. Of whom nothing is known, that is assumed: better twice than not at all.
    bool concerns(int64_t next, const LeaderEpoch& last) const { return next > offset && last.number <= leader_epoch; }
};

}  // namespace fetcher
