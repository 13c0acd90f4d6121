// RangeMemory: what of a partition was sent, and up to where it is confirmed, in a small file that outlives the process.
//
// Written before a request goes out, so that whoever repeats it after a kill -9 sends the very same ranges under the same keys. One line of
// JSON with a CRC, overwritten in place by one write within a page: a kill leaves the old line or the new one. It is not synced: after a power
// cut an older line, or none, is found, and the group's committed offset decides.
// Thread: whoever holds its owner's lock
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/result.h"

namespace fetcher {

struct RememberedRanges {
    int64_t next_offset = -1;   // everything below is confirmed; -1: nothing is known
    std::string topic_id;       // empty: not known
    std::vector<int64_t> ends;  // of the ranges under way, ascending: the first begins at next_offset, each other where the last ended
    bool operator==(const RememberedRanges&) const = default;
};

class RangeMemory {
  public:
    static constexpr size_t kMostEnds = 64;

    // Makes the file and its folder if they are missing. A file that is damaged counts as empty.
    static Result<std::unique_ptr<RangeMemory>> open(const std::string& folder, const std::string& name);
    ~RangeMemory();
    RangeMemory(const RangeMemory&) = delete;
    RangeMemory& operator=(const RangeMemory&) = delete;

    const RememberedRanges& last() const { return last_; }
    // Nothing is written where nothing changes.
    Result<void> store(RememberedRanges ranges);

  private:
    RangeMemory(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
    void read();

    const std::string path_;
    const int fd_;
    RememberedRanges last_;
    std::string line_;
};

}  // namespace fetcher
