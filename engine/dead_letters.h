// DeadLetters: where the records of one consumer go that a sink will never take, with everything that is known of them.
//
// Promise: what keep() has confirmed is on stable storage. After an error some of the records may be there all the same; the caller
// tries all of them again, so a dead letter may be there twice and is never missing.
// Thread: any
#pragma once

#include <string>
#include <vector>

#include "engine/batch.h"
#include "engine/processor.h"
#include "engine/result.h"

namespace fetcher {

// Whose sink refused the records.
struct Refuser {
    std::string processor_id;
    std::string processor_type;
    uint32_t replays = 0;  // how often the records had been delivered anew before
};

class DeadLetters {
  public:
    virtual ~DeadLetters() = default;
    // Waits a few seconds at most. `bad` is as in Acks::refused.
    virtual Result<void> keep(const Batch& batch, const std::vector<BadRecord>& bad, const Refuser& refuser) = 0;
};

}  // namespace fetcher
