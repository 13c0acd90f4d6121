// The consumer as answers show it: the fields of the API's contract first, what was added after them. Secrets are masked.
// Thread: any
#pragma once

#include <nlohmann/json.hpp>

#include "admin/combined_health.h"
#include "admin/consumer_config.h"
#include "admin/consumer_health.h"

namespace fetcher {

nlohmann::ordered_json consumer_json(const StoredConsumer& consumer, const ConsumerHealth& health, const ConsumerObservation& seen,
                                     const ConsumerConfig& config);
// How it is doing in each process that shares the store.
nlohmann::ordered_json replicas_json(const std::vector<PartHealth>& parts);

// One of its revisions: number, time, whether it was to run, and the definition.
nlohmann::ordered_json version_json(const StoredConsumer& revision, const ConsumerConfig& config);

}  // namespace fetcher
