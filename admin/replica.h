// Replica: another process on the same database, as it last reported itself. Plain values.
// Thread: any
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "admin/consumer_health.h"

namespace fetcher {

// What one process knows of one consumer.
struct ConsumerReport {
    int64_t applied_revision = 0;
    ConsumerObservation seen;
};
using ConsumerReports = std::map<std::string, ConsumerReport>;  // by consumer id

struct Instance {
    std::string instance_id;
    std::string host;
    std::string version;
    std::string started_at;  // ISO-8601
};

struct Replica {
    Instance instance;
    std::chrono::milliseconds silent_for{0};  // since its last heartbeat, by the database's clock
    bool alive = true;
    ConsumerReports consumers;
};

}  // namespace fetcher
