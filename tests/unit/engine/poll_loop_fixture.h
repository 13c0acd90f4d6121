// What tests of a poll loop with several processors begin with.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

#include "tests/fakes/running_loop.h"

namespace fetcher::testing {

// Sinks are stuck after a moment, so that the tests are short. What follows waits for events, not for times.
inline PollLoopOptions impatient() {
    PollLoopOptions options;
    options.drain_timeout = 2s;
    options.stuck_after = 100ms;
    options.stuck_partition_after = 300ms;
    options.backlogged_after = 100ms;
    return options;
}

// Large records: few of them are a batch. Their values begin with their offsets.
constexpr size_t kLarge = 100'000;
inline void append_large(FakeSource& source, int32_t partition, int64_t from, int64_t to) {
    for (int64_t offset = from; offset < to; offset++) source.append(partition, offset, std::to_string(offset) + std::string(kLarge, '.'));
}

// More of them than a full lane.
constexpr int64_t kMuch = 300;

inline void expect_offsets(const FakeStore& store, int32_t partition, int64_t from, int64_t to) {
    int64_t next = from;
    for (const auto& row : store.rows()) {
        if (row.partition != partition) continue;
        ASSERT_EQ(row.offset, next) << "partition " << partition;
        next++;
    }
    ASSERT_EQ(next, to) << "partition " << partition;
}

// Two processors, of which a test may hold up either.
class FileAndDatabase : public ::testing::Test {
  protected:
    void begin(PollLoopOptions options = impatient()) { loop_.emplace(std::vector{&file_, &database_}, std::move(options)); }
    void fill(int32_t partition, int64_t from, int64_t to) { append_large(loop_->source, partition, from, to); }
    // The file has kMuch of partition 0; the database takes nothing.
    void begin_with_a_stuck_database() {
        database_.cork();
        begin();
        fill(0, 0, kMuch);
        loop_->source.assign_partitions({0});
        ASSERT_TRUE(file_.wait_rows(kMuch));
    }

    FakeStore file_, database_;
    std::optional<RunningLoop> loop_;  // ends before its sinks
};

}  // namespace fetcher::testing
