// Ack: what workers and sinks tell the poll thread. One multi-producer queue per consumer; whoever enqueues rings the poll doorbell.
#pragma once

#include <concurrentqueue/concurrentqueue.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/batch.h"
#include "engine/doorbell.h"
#include "engine/processor.h"

namespace fetcher {

struct Ack {
    enum class Kind : uint8_t {
        given_back,  // batch: the worker reads it no more
        durable,     // assignment, offset
        opened,      // assignment, position (or none)
        blocked,     // assignment, text: the sink cannot be opened; tried again at next_try
        closed,      // assignment: flushed and given up
        retrying,    // code, text: something failed for now; tried again at next_try
        recovered,   // code: what was retried succeeded
        failed,      // text: the consumer must stop
        stopped,     // the worker has ended
    };
    Kind kind = Kind::stopped;
    uint32_t processor = 0;  // index
    Batch* batch = nullptr;
    std::shared_ptr<Assignment> assignment;
    int64_t offset = 0;
    std::optional<Position> position;
    const char* code = "sink_retry";  // of the health's reason
    std::string text;
    std::chrono::system_clock::time_point next_try;
    uint64_t turn = 0;  // retrying, recovered: of one code the latest counts; they come from several threads, in any order
};

// Thread: push any; try_pop poll
class AckQueue {
  public:
    explicit AckQueue(Doorbell& poll_doorbell) : doorbell_(poll_doorbell) {}

    void push(Ack ack) {
        queue_.enqueue(std::move(ack));
        doorbell_.ring();
    }
    // With the worker's own token: no search for a sub-queue, and its acks stay in order.
    void push(const moodycamel::ProducerToken& token, Ack ack) {
        queue_.enqueue(token, std::move(ack));
        doorbell_.ring();
    }
    moodycamel::ProducerToken make_token() { return moodycamel::ProducerToken(queue_); }
    // Acks of different producers come in no particular order: drain until false before deciding anything.
    bool try_pop(Ack& into) { return queue_.try_dequeue(into); }

  private:
    moodycamel::ConcurrentQueue<Ack> queue_;
    Doorbell& doorbell_;
};

}  // namespace fetcher
