// RateMeter: what a rising counter gained per second, over the last few samples.
// Thread: one owner
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

namespace fetcher {

class RateMeter {
  public:
    using Time = std::chrono::steady_clock::time_point;

    // A count below the last one begins anew (another pipeline counts from 0).
    void sample(Time now, uint64_t count) {
        if (!samples_.empty() && count < samples_.back().count) samples_.clear();
        samples_.push_back({now, count});
        while (samples_.size() > 2 && now - samples_.front().at > kWindow) samples_.pop_front();
    }
    void clear() { samples_.clear(); }
    double per_second() const {
        if (samples_.size() < 2) return 0;
        const std::chrono::duration<double> time = samples_.back().at - samples_.front().at;
        return time.count() > 0 ? static_cast<double>(samples_.back().count - samples_.front().count) / time.count() : 0;
    }

  private:
    static constexpr std::chrono::seconds kWindow{8};
    struct Sample {
        Time at;
        uint64_t count;
    };
    std::deque<Sample> samples_;
};

}  // namespace fetcher
