// Assignment: one partition for one stay with this process, from its assignment to its revocation.
//
// It is the epoch: batches and acks carry a pointer to it, and what comes from an assignment that has been given up is dropped.
// Ownership: shared; the poll thread makes it, batches and workers hold it. All members but the flags never change.
// Thread: any
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/leader_epoch.h"

namespace fetcher {

struct Assignment {
    std::string consumer_id;
    std::string group;
    std::string topic;
    std::string topic_id;  // Kafka's, base64; empty where the broker does not tell
    int32_t partition = 0;
    uint64_t epoch = 0;  // rises with every assignment of the process
    std::optional<LogCut> cut;  // the partition is opened anew because its log was cut: whom that concerns goes back to it

    // Set by the poll thread as soon as the partition is to be given up: an open() that still waits may give up waiting.
    std::atomic<bool> closing{false};
    // Set by the poll thread when the partition is gone: workers stop trying and drop its batches.
    std::atomic<bool> revoked{false};
};

}  // namespace fetcher
