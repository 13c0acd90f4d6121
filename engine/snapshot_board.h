// SnapshotBoard: where the poll thread leaves what others may know of it, a few times a second. The mutex is not on the data path.
// Thread: publish() poll; read() any
#pragma once

#include <mutex>

#include "engine/pipeline_snapshot.h"

namespace fetcher {

class SnapshotBoard {
  public:
    void publish(PipelineSnapshot snapshot) {
        const std::lock_guard lock(mutex_);
        snapshot_ = std::move(snapshot);
    }
    PipelineSnapshot read() const {
        const std::lock_guard lock(mutex_);
        return snapshot_;
    }

  private:
    mutable std::mutex mutex_;
    PipelineSnapshot snapshot_;
};

}  // namespace fetcher
