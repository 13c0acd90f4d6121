// Doorbell: one eventfd that a thread sleeps on until somebody rings it. Rings while it is awake or already rung cost no system call.
//
// Rule for the sleeper: wait(), then look at every queue, then wait() again; a ring after the look is never lost.
// Thread: ring() any; wait() the one owner. Other libraries may write 8 bytes to fd() themselves.
#pragma once

#include <atomic>
#include <chrono>

namespace fetcher {

class Doorbell {
  public:
    Doorbell();  // throws std::system_error when the process has no descriptor left
    ~Doorbell();
    Doorbell(const Doorbell&) = delete;
    Doorbell& operator=(const Doorbell&) = delete;

    void ring();
    // Returns when rung since the last wait() began to return, or at the deadline.
    void wait_until(std::chrono::steady_clock::time_point deadline);
    int fd() const { return fd_; }

  private:
    const int fd_;
    std::atomic<bool> rung_{false};
};

}  // namespace fetcher
