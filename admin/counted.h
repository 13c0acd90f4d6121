// Counted: one of those that do something at the same time, counted for as long as it lives.
// Thread: any
#pragma once

#include <atomic>

namespace fetcher {

class Counted {
  public:
    // `count` outlives it.
    explicit Counted(std::atomic<int>& count) : count_(count), mine_(count.fetch_add(1) + 1) {}
    ~Counted() { count_.fetch_sub(1); }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

    // Whether there were no more than `most`, itself among them, when it began.
    bool within(int most) const { return mine_ <= most; }

  private:
    std::atomic<int>& count_;
    const int mine_;
};

}  // namespace fetcher
