// RecordLedger: the books on numbered records (record_format.h) as they are read: what is missing, doubled, out of order, damaged.
// Thread: one owner
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tools/record_format.h"

namespace fetcher::testing {

class RecordLedger {
  public:
    struct Totals {
        uint64_t records = 0;
        uint64_t missing = 0;       // sequence numbers below the end that never came
        uint64_t duplicates = 0;    // came more than once
        uint64_t out_of_order = 0;  // came first after a greater one of their partition
        uint64_t corrupt = 0;       // lines that are no whole record
        uint64_t foreign = 0;       // whole, but of another run
        uint64_t unexpected = 0;    // at or beyond the partition's expected end
        bool clean() const { return missing + duplicates + out_of_order + corrupt + foreign + unexpected == 0; }
    };

    // run: the only one that belongs here; nullopt: any.
    explicit RecordLedger(std::optional<uint32_t> run) : run_(run) {}

    // What is to be there: exactly 0..end-1. Without it a partition ends at its greatest number, so a clean ledger is an exact prefix.
    void expect(uint32_t partition, uint64_t end) { partitions_[partition].expected_end = end; }

    // `line` is a record, or holds one somewhere if embedded (a JSON string). `at` tells a person where it was.
    void add(std::string_view line, bool embedded, const std::string& file, uint64_t at);
    // From here on order starts anew (another writer's file).
    void forget_order();

    Totals totals() const;
    // One line of JSON: the totals, each partition's next number, and the first few examples of what is wrong.
    std::string json() const;

  private:
    struct Partition {
        std::vector<uint64_t> seen;  // a bit for each number
        uint64_t records = 0;
        uint64_t end = 0;   // one past the greatest number
        uint64_t next = 0;  // one past the last number in reading order
        std::optional<uint64_t> expected_end;
    };
    void account(const RecordHeader& record, const std::string& file, uint64_t at);
    void example(std::string what) const;
    uint64_t missing(uint32_t number, const Partition& partition) const;

    std::optional<uint32_t> run_;
    std::map<uint32_t, Partition> partitions_;
    Partition* recent_ = nullptr;
    uint32_t recent_number_ = 0;
    Totals counts_;  // all but missing
    mutable std::vector<std::string> examples_;
};

}  // namespace fetcher::testing
