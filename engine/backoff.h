// RetryPolicy, ReopenPolicy and Backoff: how long to wait before the same thing is tried again. Exponential; the jitter keeps many waiters from coming
// back together.
// Thread: one owner
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>

namespace fetcher {

struct RetryPolicy {
    std::chrono::milliseconds initial{100};
    std::chrono::milliseconds max{5'000};
    double jitter = 0.5;  // up to which part of a pause is left out, at random: 0 to 1
    // How long a sink may fail without a success between before the consumer goes to ERROR; nullopt: never.
    std::optional<std::chrono::milliseconds> give_up_after;

    bool operator==(const RetryPolicy&) const = default;

    // A pause of at most `full`, shortened by chance.
    std::chrono::milliseconds jittered(std::chrono::milliseconds full, std::minstd_rand& random) const {
        const auto least = full.count() - static_cast<int64_t>(static_cast<double>(full.count()) * jitter);
        return std::chrono::milliseconds(std::uniform_int_distribution<int64_t>(least, full.count())(random));
    }
};

// When a processor that is not required, and has failed for good, is made anew.
struct ReopenPolicy {
    std::chrono::milliseconds initial{1'000};
    std::chrono::milliseconds max{60'000};
    std::chrono::milliseconds healthy_after{60'000};  // open for so long, the pauses begin at `initial` again
    std::optional<int> attempts;                      // so many in a row that fail, then never; nullopt: no limit
};

// Another seed for each that asks. A random_device for each would cost 0.1 ms in a virtual machine, where it asks the processor what it is.
inline uint32_t jitter_seed() {
    static std::atomic<uint32_t> next{std::random_device{}()};
    return next.fetch_add(0x9e3779b9U, std::memory_order_relaxed);
}

class Backoff {
  public:
    Backoff(std::chrono::milliseconds initial, std::chrono::milliseconds max) : Backoff(RetryPolicy{.initial = initial, .max = max}) {}
    explicit Backoff(const RetryPolicy& policy) : policy_(policy), next_(policy.initial) {}

    // How long to wait before the next try; doubles each time up to max.
    std::chrono::milliseconds next() {
        const auto full = next_;
        next_ = std::min(policy_.max, next_ * 2);
        return policy_.jittered(full, random_);
    }
    void reset() { next_ = policy_.initial; }

  private:
    RetryPolicy policy_;
    std::chrono::milliseconds next_;
    std::minstd_rand random_{jitter_seed()};
};

}  // namespace fetcher
