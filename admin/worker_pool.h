// WorkerPool: a fixed number of threads that take jobs in order. The number of jobs waiting is bounded by whoever puts them in.
// Thread: any
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace fetcher {

class WorkerPool {
  public:
    explicit WorkerPool(size_t threads);
    ~WorkerPool();  // drops what waits, finishes what runs
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    void put(std::function<void()> job);

  private:
    void work();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace fetcher
