// MemoryBudget: the one limit on bytes in flight, shared by all consumers of the process.
//
// Each consumer is a member. A member may charge up to its share (limit / members), so that one with a stuck sink cannot starve
// the others; its first charge always succeeds, so that a record larger than the share still moves, alone.
// Thread: any; lock-free.
#pragma once

#include <atomic>
#include <cstdint>

namespace fetcher {

class MemoryBudget {
  public:
    explicit MemoryBudget(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

    // A consumer's part in the budget. Thread: the consumer's poll thread; bytes() any
    class Member {
      public:
        explicit Member(MemoryBudget& budget) : budget_(budget) { budget_.members_.fetch_add(1, std::memory_order_relaxed); }
        ~Member();
        Member(const Member&) = delete;
        Member& operator=(const Member&) = delete;

        bool try_charge(uint64_t bytes);  // false: the share is used up
        void charge(uint64_t bytes);      // what has grown already
        void release(uint64_t bytes);
        bool over_share() const;
        uint64_t share_bytes() const;
        uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

      private:
        MemoryBudget& budget_;
        std::atomic<uint64_t> bytes_{0};
    };

    uint64_t limit_bytes() const { return limit_bytes_; }
    uint64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }

  private:
    const uint64_t limit_bytes_;
    std::atomic<uint64_t> used_bytes_{0};
    std::atomic<uint32_t> members_{0};
};

}  // namespace fetcher
