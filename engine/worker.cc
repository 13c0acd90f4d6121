#include "engine/worker.h"

#include <pthread.h>

#include <algorithm>

namespace fetcher {
namespace {

constexpr std::chrono::milliseconds kFirstOpenRetry{100};
constexpr std::chrono::milliseconds kLongestOpenRetry{2'000};
constexpr std::chrono::milliseconds kLook{50};  // how soon a thread that waits to keep dead letters sees that its partition is revoked
constexpr const char* kDeadLetterBlocked = "dead_letter_blocked";
constexpr std::chrono::hours kNever{1};  // an idle worker looks up once an hour

std::chrono::system_clock::time_point wall_time_in(std::chrono::milliseconds pause) { return std::chrono::system_clock::now() + pause; }

void count(std::atomic<uint64_t>& counter, uint64_t n) { counter.fetch_add(n, std::memory_order_relaxed); }

std::string refusal(const Batch& batch, const std::vector<BadRecord>& bad) {
    FETCHER_INVARIANT(!bad.empty() && bad.back().index < batch.size(), "a bad record is one of its batch");
    return "the record at partition " + std::to_string(batch.partition()) + " offset " +
           std::to_string(batch.record(bad.front().index).offset()) + " was refused: " + bad.front().why;
}

std::string gave_up(const RetryPolicy& retry, const std::string& why) {
    return "given up after " + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(*retry.give_up_after).count()) +
           " s without a success (retry.give_up_after): " + why;
}

}  // namespace

Worker::Worker(uint32_t index, std::string name, std::unique_ptr<Processor> processor, AckQueue& acks, FailurePolicy policy)
    : index_(index), name_(std::move(name)), processor_(std::move(processor)), acks_(acks), policy_(std::move(policy)), token_(acks.make_token()) {}

Worker::~Worker() {
    if (thread_.joinable()) thread_.join();
}

void Worker::start() {
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), name_.substr(0, 15).c_str());
}

void Worker::abandon() {
    abandoned_.store(true, std::memory_order_release);
    lane_.push({.kind = LaneItem::Kind::stop});
}

bool Worker::is_over(const Assignment& assignment) const {
    return assignment.revoked.load(std::memory_order_acquire) || abandoned_.load(std::memory_order_acquire);
}

ProcessorSnapshot Worker::snapshot() const {
    ProcessorSnapshot now;
    now.records = metrics_.records.load(std::memory_order_relaxed);
    now.bytes = metrics_.bytes.load(std::memory_order_relaxed);
    now.batches = metrics_.batches.load(std::memory_order_relaxed);
    now.retries = metrics_.retries.load(std::memory_order_relaxed);
    now.errors = metrics_.errors.load(std::memory_order_relaxed);
    now.dead_letters = metrics_.dead_letters.load(std::memory_order_relaxed);
    return now;
}

void Worker::durable(const std::shared_ptr<Assignment>& assignment, int64_t next_offset) {
    Ack ack{.kind = Ack::Kind::durable, .processor = index_, .assignment = assignment, .offset = next_offset};
    failing_since_.store(0, std::memory_order_relaxed);
    acks_.push(std::move(ack));
}

void Worker::failed(Error error) { acks_.push(Ack{.kind = Ack::Kind::failed, .processor = index_, .text = std::move(error.reason)}); }

// The engine made the batch and lends it as const: this is it coming home.
void Worker::give_back(const Batch& batch) {
    acks_.push(Ack{.kind = Ack::Kind::given_back, .processor = index_, .batch = const_cast<Batch*>(&batch)});
}

bool Worker::refused(const Batch& batch, const std::vector<BadRecord>& bad) {
    count(metrics_.errors, bad.size());
    if (!policy_.dead_letters) {
        acks_.push(Ack{.kind = Ack::Kind::failed, .processor = index_, .text = refusal(batch, bad)});
        return false;
    }
    Backoff backoff(policy_.retry);
    bool retried = false, kept = false;
    while (!kept && !is_over(batch.assignment())) {
        const auto done = policy_.dead_letters->keep(batch, bad, policy_.refuser);
        kept = done.has_value();
        if (kept) break;
        retried = true;
        const auto pause = backoff.next();
        count(metrics_.retries, 1);
        tell({.kind = Ack::Kind::retrying, .code = kDeadLetterBlocked, .text = done.error().reason, .next_try = wall_time_in(pause)});
        for (const auto until = Clock::now() + pause; Clock::now() < until && !is_over(batch.assignment());)
            std::this_thread::sleep_for(std::min<Clock::duration>(kLook, until - Clock::now()));
    }
    if (retried) tell({.kind = Ack::Kind::recovered, .code = kDeadLetterBlocked});
    if (kept) count(metrics_.dead_letters, bad.size());
    return kept;
}

void Worker::retrying(const std::string& why, std::chrono::system_clock::time_point next_try) {
    count(metrics_.errors, 1);
    count(metrics_.retries, 1);
    if (patience_is_over()) return failed({ErrorKind::fatal, gave_up(policy_.retry, why)});
    tell({.kind = Ack::Kind::retrying, .text = why, .next_try = next_try});
}

void Worker::recovered() {
    failing_since_.store(0, std::memory_order_relaxed);
    tell({.kind = Ack::Kind::recovered});
}

void Worker::tell(Ack trouble) {
    trouble.processor = index_;
    trouble.turn = turns_.fetch_add(1, std::memory_order_relaxed) + 1;
    acks_.push(std::move(trouble));
}

bool Worker::patience_is_over() {
    if (!policy_.retry.give_up_after) return false;
    const auto now = Clock::now().time_since_epoch().count();
    int64_t since = 0;
    if (failing_since_.compare_exchange_strong(since, now, std::memory_order_relaxed)) return false;
    return Clock::duration(now - since) >= *policy_.retry.give_up_after;
}

void Worker::push(Ack ack) {
    ack.processor = index_;
    acks_.push(token_, std::move(ack));
}

void Worker::run() {
    processor_->bind(*this);
    LaneItem item;
    for (bool going = true; going;) {
        if (lane_.try_pop(item)) {
            going = handle(item);
            item = {};
        } else {
            lane_.wait_until(next_wake());
        }
        retry_due_opens();
        const auto timer = processor_->wake_at();
        if (!broken_ && timer && Clock::now() >= *timer) serve_timer();
    }
    processor_.reset();  // its threads end before the last word
    push({.kind = Ack::Kind::stopped});
}

// The processor sets the time of its own next try; the health tells of it meanwhile.
void Worker::serve_timer() {
    const Outcome outcome = guarded([&] { return processor_->on_timer(); });
    const bool retrying = outcome.kind == Outcome::Kind::retry;
    if (retrying) {
        count(metrics_.errors, 1);
        count(metrics_.retries, 1);
        if (patience_is_over()) return void(accept(Outcome::fatal(gave_up(policy_.retry, outcome.reason)), nullptr));
        const auto next = processor_->wake_at();
        const auto pause = next ? std::chrono::duration_cast<std::chrono::milliseconds>(*next - Clock::now()) : policy_.retry.initial;
        tell({.kind = Ack::Kind::retrying, .text = outcome.reason, .next_try = wall_time_in(pause)});
    } else if (timer_retrying_) {
        recovered();
    }
    timer_retrying_ = retrying;
    accept(outcome, nullptr);
}

Clock::time_point Worker::next_wake() const {
    auto at = Clock::now() + kNever;
    for (const auto& pending : pending_opens_) at = std::min(at, pending.due);
    if (const auto timer = processor_->wake_at(); timer && !broken_) at = std::min(at, *timer);
    return at;
}

bool Worker::handle(LaneItem& item) {
    switch (item.kind) {
        case LaneItem::Kind::open:
            open({item.assignment, Backoff(kFirstOpenRetry, kLongestOpenRetry), {}});
            return true;
        case LaneItem::Kind::begin:
            next_[item.assignment.get()] = item.offset;
            return true;
        case LaneItem::Kind::batch:
            write(item.batch);
            return true;
        case LaneItem::Kind::close:
            close(item.assignment);
            return true;
        case LaneItem::Kind::stop:
            return false;
    }
    return false;
}

void Worker::open(PendingOpen pending) {
    if (broken_ || is_over(*pending.assignment)) return;
    auto position = guarded_open(pending.assignment);
    if (position) {
        push({.kind = Ack::Kind::opened, .assignment = pending.assignment, .position = std::move(*position)});
        return;
    }
    count(metrics_.errors, 1);
    const Error& error = position.error();
    if (error.kind == ErrorKind::fatal) {
        broken_ = true;
        push({.kind = Ack::Kind::failed, .assignment = pending.assignment, .text = error.reason});
        return;
    }
    const auto pause = pending.backoff.next();
    push({.kind = Ack::Kind::blocked, .assignment = pending.assignment, .text = error.reason, .next_try = wall_time_in(pause)});
    pending.due = Clock::now() + pause;
    pending_opens_.push_back(std::move(pending));
}

// A processor is not to throw. Where one does, or the system has no thread or memory for it, its consumer fails and not the process.
template <class Call>
Outcome Worker::guarded(Call&& call) {
    try {
        return call();
    } catch (const std::exception& error) {
        return Outcome::fatal(std::string("the processor failed: ") + error.what());
    }
}

Result<std::optional<Position>> Worker::guarded_open(const std::shared_ptr<Assignment>& assignment) {
    Result<std::optional<Position>> position = std::nullopt;
    const auto outcome = guarded([&] {
        position = processor_->open(assignment);
        return Outcome::durable();
    });
    if (outcome.kind == Outcome::Kind::fatal) return fatal(outcome.reason);
    return position;
}

void Worker::retry_due_opens() {
    if (pending_opens_.empty()) return;
    const auto now = Clock::now();
    std::vector<PendingOpen> due;
    std::erase_if(pending_opens_, [&](PendingOpen& pending) {
        if (pending.due > now && !pending.assignment->revoked) return false;
        due.push_back(std::move(pending));
        return true;
    });
    for (auto& pending : due) open(std::move(pending));
}

void Worker::write(Batch* batch) {
    const Assignment& assignment = batch->assignment();
    const auto state = next_.find(&assignment);
    FETCHER_INVARIANT(state != next_.end() || assignment.revoked || broken_, "a batch comes after its partition's begin");
    bool held = false;
    if (state != next_.end() && batch->next_offset() > state->second) {
        const size_t first = batch->lower_bound(state->second);
        // Read before the processor has it: a batch that is held may be given back, and used anew, before write() returns.
        const int64_t next_offset = batch->next_offset();
        const uint64_t records = batch->size() - first;
        const uint64_t bytes = first == 0 ? batch->value_bytes() : batch->framed_values(first).size() - records;
        if (const auto kind = deliver(*batch, first)) {
            held = *kind == Outcome::Kind::held;
            state->second = next_offset;
            count(metrics_.records, records);
            count(metrics_.bytes, bytes);
            count(metrics_.batches, 1);
        }
    }
    if (!held) push({.kind = Ack::Kind::given_back, .batch = batch});
}

std::optional<Outcome::Kind> Worker::deliver(const Batch& batch, size_t first) {
    if (broken_ || abandoned_) return std::nullopt;
    auto outcome = persist(batch.assignment(), [&] { return processor_->write(batch, first); });
    if (outcome && outcome->kind == Outcome::Kind::bad && policy_.dead_letters) outcome = deliver_without_bad(batch, std::move(outcome->bad));
    if (!outcome) return std::nullopt;
    if (outcome->kind == Outcome::Kind::held) return outcome->kind;
    if (!accept(*outcome, &batch)) return std::nullopt;
    if (outcome->kind == Outcome::Kind::durable) {
        push({.kind = Ack::Kind::durable, .assignment = batch.assignment_ptr(), .offset = batch.next_offset()});
    }
    return outcome->kind;
}

// Where something is refused a copy is made; how much of it is left, and what more of it is bad, the next write tells.
std::optional<Outcome> Worker::deliver_without_bad(const Batch& batch, std::vector<BadRecord> bad) {
    Batch rest;
    const Batch* tried = &batch;
    for (;;) {
        if (!refused(*tried, bad)) return std::nullopt;
        std::vector<uint32_t> left_out;
        for (const auto& record : bad) left_out.push_back(record.index);
        Batch without;
        without.copy_without(*tried, left_out);
        rest = std::move(without);
        tried = &rest;
        const size_t first = rest.lower_bound(next_.at(&batch.assignment()));
        auto outcome = persist(batch.assignment(), [&] { return processor_->write(rest, first); });
        if (!outcome || outcome->kind != Outcome::Kind::bad) {
            FETCHER_INVARIANT(!outcome || outcome->kind != Outcome::Kind::held, "a processor that holds batches tells of bad records through Acks::refused");
            return outcome;
        }
        bad = std::move(outcome->bad);
    }
}

void Worker::close(const std::shared_ptr<Assignment>& assignment) {
    std::erase_if(pending_opens_, [&](const PendingOpen& pending) { return pending.assignment == assignment; });
    flush(*assignment);
    accept(guarded([&] {
               processor_->close(*assignment);
               return Outcome::durable();
           }),
           nullptr);
    next_.erase(assignment.get());
    push({.kind = Ack::Kind::closed, .assignment = assignment});
}

void Worker::flush(const Assignment& assignment) {
    if (broken_ || abandoned_) return;
    if (const auto outcome = persist(assignment, [&] { return processor_->flush(); })) accept(*outcome, nullptr);
}

template <class Call>
std::optional<Outcome> Worker::persist(const Assignment& assignment, Call&& call) {
    Backoff backoff(policy_.retry);
    bool retried = false;
    while (!is_over(assignment)) {
        Outcome outcome = guarded(call);
        if (outcome.kind != Outcome::Kind::retry) {
            if (retried) recovered();
            return outcome;
        }
        retried = true;
        count(metrics_.errors, 1);
        count(metrics_.retries, 1);
        if (patience_is_over()) return Outcome::fatal(gave_up(policy_.retry, outcome.reason));
        const auto pause = backoff.next();
        tell({.kind = Ack::Kind::retrying, .text = outcome.reason, .next_try = wall_time_in(pause)});
        if (!wait_for_retry(assignment, pause)) break;
    }
    if (retried) recovered();
    return std::nullopt;
}

bool Worker::wait_for_retry(const Assignment& assignment, std::chrono::milliseconds pause) {
    // The poll thread rings the lane when it revokes an assignment; other rings (new items) only make it look again.
    const auto until = Clock::now() + pause;
    while (Clock::now() < until) {
        if (is_over(assignment)) return false;
        lane_.wait_until(until);
    }
    return true;
}

bool Worker::accept(const Outcome& outcome, const Batch* batch) {
    if (outcome.kind == Outcome::Kind::durable || outcome.kind == Outcome::Kind::accepted || outcome.kind == Outcome::Kind::held ||
        outcome.kind == Outcome::Kind::retry) {
        return !broken_;
    }
    count(metrics_.errors, 1);
    broken_ = true;
    const bool bad = outcome.kind == Outcome::Kind::bad && batch;
    push({.kind = Ack::Kind::failed, .text = bad ? refusal(*batch, outcome.bad) : outcome.reason});
    return false;
}

}  // namespace fetcher
