#include "processors/streaming_forwarder.h"

#include <utility>

namespace fetcher {
namespace {

constexpr std::chrono::milliseconds kLookInterval{1'000};
constexpr std::chrono::milliseconds kDrainStep{50};
constexpr std::chrono::milliseconds kTokenPatience{1'000};  // of a stop, or whoever else takes a partition away

DeliveryQueue::Options queue_options(const StreamingForwarder::Setup& setup) {
    const auto& o = setup.options;
    // Sending a body may outlast what the library's own timers see.
    return {o.limits, o.max_in_flight, o.request_timeout + kLookInterval, o.method + " " + setup.server.url.shown(), setup.retry,
            o.format.framing == BodyFormat::Framing::single};
}

}  // namespace

StreamingForwarder::StreamingForwarder(Setup setup)
    : setup_(std::move(setup)), queue_(queue_options(setup_)), headers_(setup_.options, setup_.secrets_dir, setup_.token_server, setup_.connector) {}

StreamingForwarder::~StreamingForwarder() {
    queue_.stop();
    headers_.abort();
    for (const auto& sender : senders_) sender->abort();  // all at once, not one after the other
    senders_.clear();
    queue_.drop_all();
}

RecordParts StreamingForwarder::parts() const {
    const bool all = setup_.options.format.envelope;
    return {.keys = all, .headers = all};
}

Result<std::optional<Position>> StreamingForwarder::open(const std::shared_ptr<Assignment>& assignment) {
    std::unique_ptr<RangeMemory> memory;
    std::optional<Position> position;
    if (!setup_.memory_folder.empty()) {
        auto opened = RangeMemory::open(setup_.memory_folder, setup_.memory_name + "-" + std::to_string(assignment->partition));
        if (!opened) return tl::unexpected<Error>(std::move(opened.error()));
        memory = std::move(*opened);
        if (memory->last().next_offset >= 0) position = Position{memory->last().next_offset, memory->last().topic_id, false};
    }
    while (senders_.size() < setup_.options.max_in_flight) {
        senders_.push_back(std::make_unique<ForwarderSender>(senders_.size(), setup_.options.method, setup_.options.format, queue_, headers_,
                                                             setup_.connector(setup_.server), setup_.pin_threads));
    }
    queue_.open(assignment, std::move(memory));
    return position;
}

Outcome StreamingForwarder::write(const Batch& batch, size_t first) {
    if (!next_look_) next_look_ = Clock::now() + kLookInterval;
    queue_.add(batch, first);
    return Outcome::held();
}

// Returns when everything is delivered, when nothing more can be, or when a partition is taken away: then there is no more time.
Outcome StreamingForwarder::flush() {
    // Without a token nothing is under way whose answer would be worth waiting for.
    while (!queue_.wait_drained(kDrainStep) && !headers_.unobtainable(kTokenPatience)) abort_overdue();
    return Outcome::accepted();
}

void StreamingForwarder::close(const Assignment& assignment) {
    queue_.close(assignment.partition, [&](size_t busy) { senders_[busy]->abort(); });
}

void StreamingForwarder::abort_overdue() {
    queue_.abort_overdue([&](size_t late) { senders_[late]->abort(); });
}

std::optional<Clock::time_point> StreamingForwarder::wake_at() const { return next_look_; }

Outcome StreamingForwarder::on_timer() {
    abort_overdue();
    next_look_.reset();
    if (queue_.busy()) next_look_ = Clock::now() + kLookInterval;
    return Outcome::accepted();
}

}  // namespace fetcher
