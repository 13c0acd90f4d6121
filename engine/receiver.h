// Receiver: the poll thread's state of one processor of the consumer.
// Thread: poll
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "engine/backoff.h"
#include "engine/cursor.h"
#include "engine/worker.h"

namespace fetcher {

struct Receiver {
    explicit Receiver(const ReopenPolicy& policy = {}) : reopen(policy.initial, policy.max) {}

    Worker* worker = nullptr;
    std::string id;
    RecordParts parts;  // that it wants
    // False: it gets what it can take in time and no more. It holds up neither the others nor the commits, and its failure ends nothing.
    bool required = true;

    int owing = 0;             // batches it has not given back
    uint64_t owing_bytes = 0;  // of their buffers
    Clock::time_point heard{};   // when it last gave one back
    bool ended = false;        // its worker has
    std::map<std::string_view, uint64_t> turns;  // by code: the latest that was heard of it

    // Best effort.
    uint64_t dropped = 0;            // records it was not given, or lost
    std::string failure;             // why it takes nothing for now; empty: it does
    Backoff reopen;                  // its pauses
    int failures = 0;                // in a row
    Clock::time_point opened_at{};   // when it was made anew
    Clock::time_point reopen_at{};   // failed: when it is made anew; max(): not by itself
    ProcessorSnapshot before;        // what its former workers did
    size_t behind = 0;               // partitions in which it is behind
    std::unique_ptr<Cursor> cursor;  // of its own, while one of them is read for it
    Clock::time_point next_cursor_try{};

    bool failed() const { return !failure.empty(); }
    // Whether a retrying or recovered says more than what was heard before.
    bool is_news(const Ack& ack) {
        auto& latest = turns[ack.code];
        return latest < ack.turn && (latest = ack.turn) > 0;
    }
    ProcessorSnapshot work() const {
        ProcessorSnapshot sum = worker->snapshot();
        sum.records += before.records;
        sum.bytes += before.bytes;
        sum.batches += before.batches;
        sum.retries += before.retries;
        sum.errors += before.errors;
        sum.dead_letters += before.dead_letters;
        return sum;
    }
    void give(LaneItem item) { worker->lane().push(std::move(item)); }
};

}  // namespace fetcher
