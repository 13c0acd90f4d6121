#include "engine/redelivery.h"

namespace fetcher {
namespace {

void fill(Batch& batch, const std::shared_ptr<Assignment>& assignment, const DeadLetter& letter) {
    batch.begin(assignment, letter.offset);
    batch.add(letter.offset, letter.timestamp_ms, letter.value);
    batch.add_key(letter.key);
    for (const auto& [name, value] : letter.headers) batch.add_header(name, value);
}

std::shared_ptr<Assignment> assignment_of(const DeadLetter& letter, const std::string& group) {
    auto assignment = std::make_shared<Assignment>();
    assignment->consumer_id = letter.consumer_id;
    assignment->group = group;
    assignment->topic = letter.topic;
    assignment->partition = letter.partition;
    return assignment;
}

}  // namespace

Redelivery redeliver(const DeadLetter& letter, const std::string& group, std::unique_ptr<Processor> processor, FailurePolicy policy,
                     std::chrono::steady_clock::time_point until) {
    Doorbell bell;
    AckQueue acks(bell);
    const auto assignment = assignment_of(letter, group);
    Batch batch;  // outlives the worker
    fill(batch, assignment, letter);
    Worker worker(0, "redelivery", std::move(processor), acks, std::move(policy));
    worker.start();
    worker.lane().push({.kind = LaneItem::Kind::open, .assignment = assignment});

    std::string reason = "it is not done yet";
    bool durable = false, closed = false, failed = false;
    const auto note = [&](const Ack& ack) { durable |= ack.kind == Ack::Kind::durable && ack.offset > letter.offset; };
    while (!closed && !failed && Clock::now() < until) {
        Ack ack;
        if (!acks.try_pop(ack)) {
            bell.wait_until(until);
            continue;
        }
        note(ack);
        switch (ack.kind) {
            case Ack::Kind::opened:
                if (ack.position && ack.position->next_offset > letter.offset) {
                    durable = true;  // by somebody who could not note it any more
                } else {
                    worker.lane().push({.kind = LaneItem::Kind::begin, .assignment = assignment, .offset = letter.offset});
                    worker.lane().push({.kind = LaneItem::Kind::batch, .batch = &batch});
                }
                worker.lane().push({.kind = LaneItem::Kind::close, .assignment = assignment});
                break;
            case Ack::Kind::closed:
                closed = true;
                break;
            case Ack::Kind::blocked:
            case Ack::Kind::retrying:
                reason = std::move(ack.text);
                break;
            case Ack::Kind::failed:
                failed = true;
                reason = std::move(ack.text);
                break;
            default:
                break;
        }
    }
    assignment->revoked.store(true, std::memory_order_release);
    if (!closed) worker.lane().push({.kind = LaneItem::Kind::close, .assignment = assignment});
    worker.lane().push({.kind = LaneItem::Kind::stop});
    // Acks of different threads come in no particular order: one that says durable may still be on its way until all have ended.
    for (bool stopped = false; !stopped;) {
        Ack ack;
        if (!acks.try_pop(ack)) {
            bell.wait_until(Clock::now() + std::chrono::seconds(1));
            continue;
        }
        note(ack);
        stopped = ack.kind == Ack::Kind::stopped;
    }
    for (Ack ack; acks.try_pop(ack);) note(ack);
    if (!durable) return {Redelivery::Kind::not_now, std::move(reason)};
    return {worker.snapshot().dead_letters > 0 ? Redelivery::Kind::refused : Redelivery::Kind::delivered, ""};
}

}  // namespace fetcher
