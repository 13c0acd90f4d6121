// Pins the calling thread to one core of the process's cpuset, the next one in turn at each call.
// Thread: any
#pragma once

#include <sched.h>

namespace fetcher {

void pin_this_thread();

// While it lives, the calling thread may run wherever it could before it was pinned, and so may the threads that it makes.
class UnpinnedScope {
  public:
    UnpinnedScope();
    ~UnpinnedScope();
    UnpinnedScope(const UnpinnedScope&) = delete;
    UnpinnedScope& operator=(const UnpinnedScope&) = delete;

  private:
    cpu_set_t pinned_;
    bool changed_ = false;
};

}  // namespace fetcher
