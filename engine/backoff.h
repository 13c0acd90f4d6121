// Backoff: exponential with full jitter on its upper half, so that many waiters do not come back together.
// Thread: one owner
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace fetcher {

class Backoff {
  public:
    Backoff(std::chrono::milliseconds initial, std::chrono::milliseconds max) : initial_(initial), max_(max), next_(initial) {}

    // How long to wait before the next try; doubles each time up to max.
    std::chrono::milliseconds next() {
        const auto full = next_;
        next_ = std::min(max_, next_ * 2);
        std::uniform_int_distribution<int64_t> spread(full.count() / 2, full.count());
        return std::chrono::milliseconds(spread(random_));
    }
    void reset() { next_ = initial_; }

  private:
    std::chrono::milliseconds initial_;
    std::chrono::milliseconds max_;
    std::chrono::milliseconds next_;
    std::minstd_rand random_{std::random_device{}()};
};

}  // namespace fetcher
