// A poll loop and its workers, real threads and queues, between a scripted source and sinks in memory.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/poll_loop.h"
#include "tests/fakes/fake_sink.h"
#include "tests/fakes/fake_source.h"

namespace fetcher::testing {

using namespace std::chrono_literals;

class RunningLoop {
  public:
    // `budget`: bytes.
    explicit RunningLoop(std::vector<FakeStore*> stores, std::chrono::milliseconds drain_timeout = 2s, bool latest = false)
        : RunningLoop(std::move(stores), with(drain_timeout, latest)) {}
    RunningLoop(std::vector<FakeStore*> stores, PollLoopOptions options, uint64_t budget = 64 << 20)
        : source(bell_), acks_(bell_), budget_(budget) {
        options.consumer_id = "c";
        options.topic = "t";
        options.group = "g";
        options.commit_interval = 10ms;
        options.make_cursor_source = [this](uint64_t) { return source.make_cursor(); };
        for (uint32_t i = 0; i < stores.size(); i++) {
            workers_.push_back(std::make_unique<Worker>(i, "w", std::make_unique<FakeSink>(*stores[i]), acks_));
            options.processor_ids.push_back("p" + std::to_string(i));
            workers_.back()->start();
        }
        options.renew_worker = [this, stores](size_t i) -> Result<std::unique_ptr<Worker>> {
            if (renewals++ < refused_renewals) return fatal("the test has no new processor");
            auto worker = std::make_unique<Worker>(static_cast<uint32_t>(i), "w", std::make_unique<FakeSink>(*stores[i]), acks_);
            worker->start();
            return worker;
        };
        thread_ = std::thread([this, options] {
            MemoryBudget::Member member(budget_);
            {
                PollLoop loop(options, source, workers_, acks_, bell_, member, health_, board_);
                const auto end = loop.run(stop_);
                failure = end.why;
                outdated = end.outdated;
            }
            workers_.clear();
            finished_ = true;
        });
    }
    ~RunningLoop() { stop(); }

    void stop() {
        stop_ = true;
        bell_.ring();
        if (thread_.joinable()) thread_.join();
    }
    PipelineSnapshot snapshot() const { return board_.read(); }
    bool wait_for(const std::function<bool()>& done) const {
        const auto until = Clock::now() + 60s;
        while (!done()) {
            if (Clock::now() > until) return false;
            std::this_thread::sleep_for(1ms);
        }
        return true;
    }
    bool wait_finished() const {
        return wait_for([&] { return finished_.load(); });
    }
    bool wait_reason(const std::string& code) const {
        return wait_for([&] {
            for (const auto& reason : snapshot().reasons) {
                if (reason.code == code) return true;
            }
            return false;
        });
    }

    bool wait_no_reason(const std::string& code) const {
        return wait_for([&] { return std::ranges::none_of(snapshot().reasons, [&](const auto& reason) { return reason.code == code; }); });
    }

  private:
    static PollLoopOptions with(std::chrono::milliseconds drain_timeout, bool latest) {
        PollLoopOptions options;
        options.drain_timeout = drain_timeout;
        options.latest = latest;
        return options;
    }

    Doorbell bell_;

  public:
    FakeSource source;
    std::string failure;
    bool outdated = false;
    std::atomic<int> renewals{0};  // that were asked for
    std::atomic<int> refused_renewals{0};

  private:
    AckQueue acks_;
    MemoryBudget budget_;
    HealthBoard health_;
    SnapshotBoard board_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::atomic<bool> stop_{false};
    std::atomic<bool> finished_{false};
    std::thread thread_;
};

inline void append_numbers(FakeSource& source, int32_t partition, int64_t from, int64_t to) {
    for (int64_t offset = from; offset < to; offset++) source.append(partition, offset, std::to_string(offset));
}

// Every offset of [from, to) once and in order.
inline void expect_exact(const FakeStore& store, int32_t partition, int64_t from, int64_t to) {
    int64_t next = from;
    for (const auto& row : store.rows()) {
        if (row.partition != partition) continue;
        ASSERT_EQ(row.offset, next);
        ASSERT_EQ(row.value, std::to_string(next));
        next++;
    }
    ASSERT_EQ(next, to);
}

}  // namespace fetcher::testing
