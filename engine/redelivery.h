// Delivers one dead letter anew, through a processor made for it alone, with all that a worker does: retries, and a dead letter again if it is
// refused again.
//
// A sink that keeps positions keeps one for this letter: whoever delivers the same letter a second time (after a crash before it was noted)
// finds it there, and nothing is written twice. So the processor must have been made for a consumer group that names the letter.
// Thread: any; waits up to the deadline, and for what the processor cannot break off
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "engine/dead_letter.h"
#include "engine/processor.h"
#include "engine/worker.h"

namespace fetcher {

struct Redelivery {
    enum class Kind {
        delivered,
        refused,  // it is a dead letter again
        not_now,  // see reason
    };
    Kind kind = Kind::not_now;
    std::string reason;
};

Redelivery redeliver(const DeadLetter& letter, const std::string& group, std::unique_ptr<Processor> processor, FailurePolicy policy,
                     std::chrono::steady_clock::time_point until);

}  // namespace fetcher
