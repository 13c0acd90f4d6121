#include "processors/sync_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "sink_world.h"

namespace fetcher {
namespace {

// A file whose disk takes as long as the test wants.
class SlowTarget final : public SyncTarget {
  public:
    Result<void> make_durable(const SyncPoint& point) override {
        started.store(started.load() + 1);
        started.notify_all();
        gate.wait(false);
        lengths.push_back(point.state.length_bytes);
        if (error) return tl::unexpected<Error>(*error);
        return {};
    }
    void fail(const Error& why) override { failure_ = why; }
    std::optional<Error> failure() const override { return failure_; }

    void open_gate() {
        gate.store(true);
        gate.notify_all();
    }
    void wait_until_started(int n) {
        for (int seen = started.load(); seen < n; seen = started.load()) started.wait(seen);
    }

    std::atomic<int> started{0};
    std::atomic<bool> gate{false};
    std::optional<Error> error;
    std::vector<uint64_t> lengths;

  private:
    std::optional<Error> failure_;
};

SyncPoint point_at(uint64_t length, const std::shared_ptr<Assignment>& assignment) {
    SyncPoint point;
    point.state.length_bytes = length;
    point.acks.emplace_back(assignment, static_cast<int64_t>(length));
    return point;
}

TEST(SyncThread, NeverMakesTheWorkerWaitForTheDisk) {
    RecordingAcks acks;
    SlowTarget target;
    SyncThread sync;
    sync.bind(acks);
    const auto assignment = make_assignment(0);
    sync.request(target, point_at(1, assignment));
    target.wait_until_started(1);
    for (uint64_t length = 2; length <= 1000; length++) sync.request(target, point_at(length, assignment));
    EXPECT_EQ(acks.durable_below(0), 0);
    target.open_gate();
    target.wait_until_started(2);
    ASSERT_TRUE(sync.run(target, point_at(1001, assignment)));
    // The newest request stood for all before it.
    EXPECT_EQ(target.lengths, (std::vector<uint64_t>{1, 1000, 1001}));
    EXPECT_EQ(acks.durable_below(0), 1001);
}

TEST(SyncThread, TouchesAFileNoMoreAfterAFailedSync) {
    RecordingAcks acks;
    SlowTarget target;
    target.open_gate();
    target.error = Error{ErrorKind::fatal, "EIO"};
    SyncThread sync;
    sync.bind(acks);
    const auto assignment = make_assignment(0);
    EXPECT_FALSE(sync.run(target, point_at(1, assignment)));
    EXPECT_EQ(acks.failure()->reason, "EIO");
    target.error.reset();
    EXPECT_FALSE(sync.run(target, point_at(2, assignment)));
    sync.request(target, point_at(3, assignment));
    sync.wait_for(target);
    EXPECT_EQ(target.lengths, (std::vector<uint64_t>{1}));
    EXPECT_EQ(acks.durable_below(0), 0);
}

TEST(SyncThread, WaitsForTheSyncAtWorkBeforeAFileGoes) {
    RecordingAcks acks;
    SlowTarget target;
    SyncThread sync;
    sync.bind(acks);
    const auto assignment = make_assignment(0);
    sync.request(target, point_at(1, assignment));
    target.wait_until_started(1);
    sync.request(target, point_at(2, assignment));
    auto waited = std::async(std::launch::async, [&] { sync.wait_for(target); });
    target.open_gate();
    waited.get();
    EXPECT_EQ(target.lengths.front(), 1U);
}

TEST(SyncThread, OneSlowFileDoesNotLoseTheRequestsOfOthers) {
    RecordingAcks acks;
    SlowTarget slow;
    SlowTarget other;
    other.open_gate();
    SyncThread sync;
    sync.bind(acks);
    sync.request(slow, point_at(1, make_assignment(0)));
    slow.wait_until_started(1);
    sync.request(other, point_at(7, make_assignment(1)));
    slow.open_gate();
    other.wait_until_started(1);
    sync.wait_for(other);
    EXPECT_EQ(acks.durable_below(0), 1);
    EXPECT_EQ(acks.durable_below(1), 7);
}

}  // namespace
}  // namespace fetcher
