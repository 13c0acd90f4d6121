// PartitionFeed: the records of one partition on their way out, cut into ranges of which each is one request.
//
// Where a range ends depends on the records alone (count and bytes) as long as more are waiting, so that the same records are cut alike again.
// Only when no more come within `linger` does a range end early; such ends, and those of every range under way, are what RangeMemory keeps,
// and what remember() makes this cut again. Such a range waits until its records are there, whatever hurries: batches that do not hold its
// end yet are copied and passed on, so the engine can always read on. Pure: no threads, no I/O.
// Thread: whoever holds its owner's lock
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "engine/batch.h"

namespace fetcher {

struct RangeLimits {
    size_t max_records = 1;
    size_t max_bytes = size_t{1} << 20;  // of values, each with a newline; one record always fits
    std::chrono::milliseconds linger{5};
    bool ordered = true;  // one range under way at a time
    bool sides = false;   // keys and headers are sent, and count too
};

struct RecordRange {
    struct Piece {
        const Batch* batch = nullptr;
        uint32_t first = 0, end = 0;
    };
    enum class State { waiting, sending, done };

    std::vector<Piece> pieces;  // at least one, none empty
    size_t records = 0;
    int64_t first_offset = 0, last_offset = 0;
    int64_t next_offset = 0;  // the position once it is delivered
    State state = State::waiting;
    std::chrono::steady_clock::time_point due{};  // not to be sent before
    int tries = 0;
};

class PartitionFeed {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    explicit PartitionFeed(RangeLimits limits) : limits_(limits) {}

    // Ranges that were under way when somebody stopped end here; told before the first add().
    void remember(std::vector<int64_t> ends) { remembered_.assign(ends.begin(), ends.end()); }
    // Records [first, size()) of a batch, which stays readable until it is passed to settle()'s give_back.
    void add(const Batch& batch, size_t first, TimePoint now);

    // The range to send now, in state sending; nullptr: none. `hurry`: nothing is waited for but the records of a remembered range.
    RecordRange* take(TimePoint now, bool hurry);
    // When take() may have one at the latest; min(): it has; max(): not before something else happens.
    TimePoint ready_at(bool hurry) const;
    // Whether nothing is under way, and what is there waits for the rest of a remembered range.
    bool waits_for_remembered(TimePoint now) const { return ranges_.empty() && lacks_remembered() && cut_at() > now; }

    void delivered(RecordRange& range) { range.state = RecordRange::State::done; }
    void retry(RecordRange& range, TimePoint due);
    // Halves a range of several records: each half will be sent for itself, the first one first. False: it is a single record.
    bool split(RecordRange& range);

    // Passes on batches that are delivered or copied, and gaps. Returns whether position() has moved.
    bool settle(const std::function<void(const Batch&)>& give_back);
    // Everything below is delivered; -1: nothing was added yet.
    int64_t position() const { return position_; }
    std::vector<int64_t> ends_under_way() const;
    bool idle() const { return ranges_.empty() && batches_.empty(); }
    size_t batches() const { return batches_.size(); }
    // All batches, delivered or not; it is empty afterwards.
    void drop(const std::function<void(const Batch&)>& give_back);

  private:
    struct Held {
        const Batch* batch;
        uint32_t next;  // first record that is in no range yet
        TimePoint arrived;
        int64_t next_offset;               // the position behind what of it is delivered from here
        std::unique_ptr<Batch> own = {};   // where it is a copy
    };
    using GiveBack = std::function<void(const Batch&)>;
    bool may_cut() const;
    bool lacks_remembered() const;
    void forget_passed();
    void copy_uncut(const GiveBack& give_back);
    bool is_under_way(const Batch& batch) const;
    static void give(const Held& held, const GiveBack& give_back);
    bool is_full() const { return records_left_ >= limits_.max_records || bytes_left_ > limits_.max_bytes; }
    TimePoint cut_at() const;
    RecordRange* cut();
    uint32_t end_of_range(const Held& held, int64_t stop, size_t records, size_t bytes) const;
    void skip_cut_batches();

    const RangeLimits limits_;
    std::deque<Held> batches_;
    size_t cursor_ = 0;  // index of the batch where the next range begins
    size_t records_left_ = 0, bytes_left_ = 0;  // that are in no range yet
    std::list<RecordRange> ranges_;             // in order
    std::deque<int64_t> remembered_;
    int64_t position_ = -1;
};

}  // namespace fetcher
