// From what each process knows of a consumer to how the consumer is doing as a whole. Pure.
//
// The worst of the living replicas is the consumer's status, except that a replica without partitions is no concern while another has some.
// What a dead replica had and nobody has taken over yet is told, with its lag as last known.
// Thread: any
#pragma once

#include <string>
#include <vector>

#include "admin/replica.h"

namespace fetcher {

// A consumer in one process.
struct ConsumerPart {
    std::string instance_id;
    bool alive = true;
    ConsumerObservation seen;
};

struct PartHealth {
    std::string instance_id;
    bool alive = true;
    ConsumerHealth health;  // of a dead one: empty
    std::vector<int32_t> partitions;
};

struct CombinedHealth {
    ConsumerHealth health;
    ConsumerObservation seen;  // sums, and all partitions
    std::vector<PartHealth> parts;
};

// own, which is alive, is the first of the parts in the answer.
CombinedHealth combine_health(Desired desired, const ConsumerPart& own, const std::vector<ConsumerPart>& others);

}  // namespace fetcher
