// PollLoopOptions: what a poll loop is told when it begins, and never again.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/backoff.h"
#include "engine/cursor.h"
#include "engine/worker.h"

namespace fetcher {

struct PollLoopOptions {
    std::string consumer_id;
    std::string group;
    std::string topic;
    std::string topic_id;
    bool latest = false;
    int32_t partitions = INT32_MAX;  // of the topic when it was found; `latest` is about them: all of a later one has come since
    std::chrono::milliseconds commit_interval{1'000};
    std::chrono::milliseconds drain_timeout{8'000};
    std::vector<std::string> processor_ids;  // one per worker
    std::vector<bool> required;              // by worker, at least one; empty: all
    Cursor::MakeSource make_cursor_source;   // needed where there are several workers
    // A worker with a new processor in the place of one that is not required and has failed; it runs. Needed where one is not.
    std::function<Result<std::unique_ptr<Worker>>(size_t)> renew_worker;
    ReopenPolicy reopen;  // of those
    // How long a worker may keep the others waiting, before it stops sharing, without giving anything back; in one partition although
    // it works for others; with more of a backlog than memory has room for.
    std::chrono::milliseconds stuck_after{1'000};
    std::chrono::milliseconds stuck_partition_after{10'000};
    std::chrono::milliseconds backlogged_after{1'000};
};

}  // namespace fetcher
