// RequestLimit: how many requests may be under way at once. Halved when the server asks for less, one more each second in which it does not:
// additive increase, multiplicative decrease.
// Thread: whoever holds its owner's lock
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace fetcher {

class RequestLimit {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    explicit RequestLimit(size_t most) : most_(most), now_(most) {}

    size_t now() const { return now_; }
    // Requests that were under way together are refused together: that is one refusal.
    void asked_for_less(TimePoint at) {
        if (at - lowered_ < kOneRefusal) return;
        now_ = std::max<size_t>(1, now_ / 2);
        lowered_ = raised_ = at;
    }
    void went_well(TimePoint at) {
        if (now_ == most_ || at - raised_ < kStep) return;
        now_++;
        raised_ = at;
    }

  private:
    static constexpr std::chrono::milliseconds kOneRefusal{200};
    static constexpr std::chrono::seconds kStep{1};
    const size_t most_;
    size_t now_;
    TimePoint lowered_{};
    TimePoint raised_{};
};

}  // namespace fetcher
