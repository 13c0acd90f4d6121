// Processor: what delivers a consumer's records to one sink. Implementations live in processors/, one file pair each.
//
// Life: the engine calls open() for a partition, then write() with its batches in offset order, then flush() and close(). Partitions
// come and go with the group's rebalances; the same partition may be opened again later. All calls of one processor come from its one
// worker thread, never at once, so a processor needs no locks of its own. Only Acks may be called from other threads of the
// processor's own.
//
// Promise (exactly once): a processor that returns a Position from open() keeps it inside its sink, atomically with the data. The
// engine starts reading there and shows the processor nothing below it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/assignment.h"
#include "engine/batch.h"
#include "engine/result.h"

namespace fetcher {

using Clock = std::chrono::steady_clock;  // monotonic: a clock that jumps a year must not stop a retry

// Where a sink stands in a partition.
struct Position {
    int64_t next_offset = 0;
    std::string topic_id;  // of the topic when it was written; empty: not known
    // True: next_offset counts even where the group has committed more (a database that lost its tail in a failover, a checkpoint
    // that had to fall back to its older slot). False: a higher committed offset tells what other members have delivered to sinks
    // of their own meanwhile, and delivery goes on there.
    bool authoritative = false;
    LeaderEpoch last{};  // of the last record below next_offset, kept with it
};

// A record that can never be written.
struct BadRecord {
    uint32_t index = 0;  // in its batch
    std::string why;     // for a person

    bool operator==(const BadRecord&) const = default;
};

// How a processor tells the engine what is safe on stable storage. Thread: any; lock-free.
class Acks {
  public:
    virtual ~Acks() = default;
    // Every record of the assignment's partition below next_offset is durable in this processor's sink, for good. A lower offset than
    // one told before says nothing new.
    virtual void durable(const std::shared_ptr<Assignment>& assignment, int64_t next_offset) = 0;
    // Something behind the worker's back failed for good (a background fsync): the consumer stops with this reason and starts again
    // from the sink's position.
    virtual void failed(Error error) = 0;

    // For processors that keep batches (Outcome::held) and deliver them on threads of their own:
    // The processor reads the batch no more. Once for each that it held, at the latest when the processor is destroyed.
    virtual void give_back(const Batch&) {}
    // Records of a held batch that can never be written (ascending indices, at least one). Waits until they are dead letters on stable
    // storage. True: they are, the processor goes on as if it had written them. False: the consumer stops, and the processor delivers
    // nothing behind the first of them; what comes before is durable or will be. Never called with a lock held that other calls wait for.
    virtual bool refused(const Batch&, const std::vector<BadRecord>&) { return false; }
    // Whether refused records become dead letters. If not, the first one ends the consumer.
    virtual bool keeps_refused() const { return false; }
    // Something behind the worker's back is tried again at `next_try`; the health says why until recovered().
    virtual void retrying(const std::string&, std::chrono::system_clock::time_point) {}
    virtual void recovered() {}
};

struct Outcome {
    enum class Kind {
        durable,   // the batch is on stable storage; the engine acknowledges it
        accepted,  // taken over; the processor will call Acks::durable by itself, at the latest in flush()
        held,      // like accepted, and the batch itself is kept and read until Acks::give_back; it goes on counting against the lane
        retry,     // nothing or a part of it was written and the same call may succeed later; the engine calls again with the same batch
        bad,       // the records in `bad` can never be written, as many of them as are known. They become dead letters and the call comes
                   // again with a copy of the batch that lacks them, or the consumer stops. Not from processors that hold batches
        fatal,     // the sink is not usable; the consumer goes to ERROR
    };
    Kind kind = Kind::durable;
    std::string reason;          // for a person; empty for durable and accepted
    std::vector<BadRecord> bad;  // by ascending index

    static Outcome durable() { return {}; }
    static Outcome accepted() { return {Kind::accepted, {}, {}}; }
    static Outcome held() { return {Kind::held, {}, {}}; }
    static Outcome retry(std::string why) { return {Kind::retry, std::move(why), {}}; }
    static Outcome fatal(std::string why) { return {Kind::fatal, std::move(why), {}}; }
    static Outcome bad_records(std::vector<BadRecord> which) { return {Kind::bad, {}, std::move(which)}; }
    static Outcome of(const Error& error) { return error.kind == ErrorKind::transient ? retry(error.reason) : fatal(error.reason); }
};

class Processor {
  public:
    virtual ~Processor() = default;

    // Which parts of a record it wants; asked once, before anything else. Thread: any
    virtual RecordParts parts() const { return {}; }

    // Called once, before the first open(): acks outlives the processor.
    virtual void bind(Acks& acks) = 0;

    // Begins delivery of a partition. Returns the sink's own position; nullopt where the sink keeps none, or has none for this consumer
    // group, topic and partition. A transient error is tried again with backoff while the consumer's health says why.
    virtual Result<std::optional<Position>> open(const std::shared_ptr<Assignment>& assignment) = 0;

    // Delivers records [first, batch.size()) of a partition that is open. After Outcome::retry the same arguments come again. `first` may
    // equal batch.size(): then only the position moves to batch.next_offset() (a gap at the end of the log).
    virtual Outcome write(const Batch& batch, size_t first) = 0;

    // Makes everything accepted so far durable and acknowledges it. Called before close(), and when the consumer stops.
    virtual Outcome flush() { return Outcome::durable(); }

    // Gives the partition up: releases its locks and files. After this another process may open it. What was accepted and is not yet
    // durable may be dropped; it is read again by the next owner.
    virtual void close(const Assignment& assignment) = 0;

    // When the worker should call on_timer() at the latest; nullopt: no need.
    virtual std::optional<Clock::time_point> wake_at() const { return std::nullopt; }
    virtual Outcome on_timer() { return Outcome::durable(); }
};

}  // namespace fetcher
