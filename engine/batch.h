// Batch: consecutive records of one partition, copied once out of the Kafka client into two buffers and an index.
//
// Layout: values_ holds every value followed by '\n', so a newline-framed sink writes it as it is; sides_ holds keys and headers,
// copied only when some processor asked for them (RecordParts). The index tells lengths and nulls; framing never guesses.
//
// Ownership: a BatchPool owns every batch. The poll thread fills it, hands it read-only to one lane per processor, and takes it back
// when every lane has acknowledged it. Nothing in here is synchronised: the lanes' queues order the accesses.
// Thread: poll while it is filled, then any number of workers (const only).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/growing_buffer.h"
#include "engine/leader_epoch.h"

namespace fetcher {

struct Assignment;

// What of a record the processors of a consumer want to see besides value, offset and timestamp.
struct RecordParts {
    bool keys = false;
    bool headers = false;
};

struct Header {
    std::string_view name;
    std::optional<std::string_view> value;  // nullopt: a null value
};

// A view of one record; valid as long as its batch is not given back.
class Record {
  public:
    int64_t offset() const;
    int64_t timestamp_ms() const;                     // since 1970 UTC; -1 if the record has none
    std::optional<std::string_view> value() const;    // nullopt: a tombstone
    size_t readable_after_value() const;              // how many bytes behind the value may be read, whatever they are
    std::optional<std::string_view> key() const;      // nullopt: null, or keys were not asked for
    size_t header_count() const;
    // Calls visit(Header) in the order in which the producer wrote them; a name may repeat.
    template <class Visit>
    void for_each_header(Visit&& visit) const;

  private:
    friend class Batch;
    Record(const class Batch& batch, size_t i) : batch_(batch), i_(i) {}
    const Batch& batch_;
    size_t i_;
};

class Batch {
  public:
    // --- filled by the poll thread -------------------------------------------------------------------------------------
    // Begins a new life of the batch: empty, for `assignment` (outlives its stay in the lanes); `before`: of the last record below.
    void begin(const std::shared_ptr<Assignment>& assignment, int64_t first_offset, const LeaderEpoch& before = {});
    // Copies a record in. Offsets rise strictly; gaps are normal. A null value is one with data()==nullptr and null==true.
    void add(int64_t offset, int64_t timestamp_ms, std::optional<std::string_view> value);
    // Copies a record of another batch in, with what is there of its key and headers.
    void add(const Record& record);
    // Key and headers of the record added last.
    void add_key(std::optional<std::string_view> key);
    void add_header(std::string_view name, std::optional<std::string_view> value);
    void set_next_offset(int64_t next_offset);  // everything below has been read, also where no record was (compaction, transaction markers)
    void copy_without(const Batch& from, const std::vector<uint32_t>& left_out);  // a new life as `from` without these, by ascending index
    void end();  // drops the reference to the assignment

    // --- read by the workers -------------------------------------------------------------------------------------------
    const Assignment& assignment() const { return *assignment_; }
    const std::shared_ptr<Assignment>& assignment_ptr() const { return assignment_; }
    int32_t partition() const;
    int64_t first_offset() const { return first_offset_; }
    int64_t next_offset() const { return next_offset_; }  // one past the last record or gap: the position after this batch
    size_t size() const { return index_.size(); }
    bool empty() const { return index_.empty(); }
    Record record(size_t i) const { return Record(*this, i); }
    // Of the last record below the position, here or before.
    LeaderEpoch leader_epoch(int64_t position) const;
    // The index of the first record with an offset of at least `offset`; size() if there is none.
    size_t lower_bound(int64_t offset) const;
    std::string_view framed_values(size_t first) const;  // of records [first, size()), each followed by '\n' (a tombstone is just the '\n')
    // What records [first, end) take up here, their framing counted: of values alone, or with keys and headers. O(1).
    size_t bytes(size_t first, size_t end, bool with_sides) const;
    size_t value_bytes() const { return values_.size() - index_.size(); }  // their sum, without framing
    size_t filled_bytes() const { return values_.size() + sides_.size() + index_.size() * sizeof(Entry); }
    size_t capacity_bytes() const { return values_.capacity_bytes() + sides_.capacity_bytes() + index_.capacity() * sizeof(Entry); }

    void reserve(size_t value_bytes, size_t records);
    EpochStarts epochs;   // noted where one begins, not for each record. Thread: poll, while it is filled
    int lanes_owing = 0;  // processors that have not given the batch back. Thread: poll

  private:
    friend class Record;
    struct Entry {
        int64_t offset;
        int64_t timestamp_ms;
        uint32_t value_begin;
        int32_t value_bytes;  // -1: null
        uint32_t side_begin;
        int32_t key_bytes;  // -1: null
        uint32_t headers;   // how many; encoded after the key
    };
    std::shared_ptr<Assignment> assignment_;
    int64_t first_offset_ = 0;
    int64_t next_offset_ = 0;
    GrowingBuffer values_;
    GrowingBuffer sides_;
    std::vector<Entry> index_;
};

// --- Record, inline: sinks call these per record ---------------------------------------------------------------------------
inline int64_t Record::offset() const { return batch_.index_[i_].offset; }
inline int64_t Record::timestamp_ms() const { return batch_.index_[i_].timestamp_ms; }
inline std::optional<std::string_view> Record::value() const {
    const auto& e = batch_.index_[i_];
    if (e.value_bytes < 0) return std::nullopt;
    return std::string_view(batch_.values_.data() + e.value_begin, static_cast<size_t>(e.value_bytes));
}
inline size_t Record::readable_after_value() const {
    const auto& e = batch_.index_[i_];
    return batch_.values_.size() - e.value_begin - static_cast<size_t>(e.value_bytes < 0 ? 0 : e.value_bytes);
}
inline std::optional<std::string_view> Record::key() const {
    const auto& e = batch_.index_[i_];
    if (e.key_bytes < 0) return std::nullopt;
    return std::string_view(batch_.sides_.data() + e.side_begin, static_cast<size_t>(e.key_bytes));
}
inline size_t Record::header_count() const { return batch_.index_[i_].headers; }

namespace detail {
// One encoded header: u32 name bytes, i32 value bytes (-1: null), name, value. Returns where the next one begins.
const char* read_header(const char* at, Header& into);
}  // namespace detail

template <class Visit>
void Record::for_each_header(Visit&& visit) const {
    const auto& e = batch_.index_[i_];
    const char* at = batch_.sides_.data() + e.side_begin + (e.key_bytes > 0 ? e.key_bytes : 0);
    Header header;
    for (uint32_t n = 0; n < e.headers; n++) {
        at = detail::read_header(at, header);
        visit(static_cast<const Header&>(header));
    }
}

}  // namespace fetcher
