#include "processors/sync_thread.h"

#include <pthread.h>

#include <algorithm>

namespace fetcher {

SyncThread::~SyncThread() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void SyncThread::drop_waiting(const SyncTarget& target) {
    std::erase_if(waiting_, [&](const auto& entry) { return entry.first == &target; });
}

void SyncThread::request(SyncTarget& target, SyncPoint point) {
    {
        const std::lock_guard lock(mutex_);
        const auto same = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& entry) { return entry.first == &target; });
        if (same != waiting_.end()) {
            same->second = std::move(point);
            return;
        }
        waiting_.emplace_back(&target, std::move(point));
    }
    if (!thread_.joinable()) {
        thread_ = std::thread([this] { loop(); });
        pthread_setname_np(thread_.native_handle(), "file-sync");
    }
    changed_.notify_all();
}

Result<void> SyncThread::run(SyncTarget& target, const SyncPoint& point) {
    wait_for(target);
    return perform(target, point);
}

void SyncThread::wait_for(const SyncTarget& target) {
    std::unique_lock lock(mutex_);
    drop_waiting(target);
    changed_.wait(lock, [&] { return at_work_ != &target; });
}

void SyncThread::loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
        if (stopping_) return;
        auto [target, point] = std::move(waiting_.front());
        waiting_.erase(waiting_.begin());
        at_work_ = target;
        lock.unlock();
        perform(*target, point);
        point = {};
        lock.lock();
        at_work_ = nullptr;
        changed_.notify_all();
    }
}

Result<void> SyncThread::perform(SyncTarget& target, const SyncPoint& point) {
    if (auto error = target.failure()) return tl::unexpected<Error>(std::move(*error));
    if (auto durable = target.make_durable(point); !durable) {
        target.fail(durable.error());
        acks_->failed(durable.error());
        return durable;
    }
    for (const auto& [assignment, next_offset] : point.acks) acks_->durable(assignment, next_offset);
    return {};
}

}  // namespace fetcher
