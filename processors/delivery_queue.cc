#include "processors/delivery_queue.h"

#include <algorithm>

#include "engine/lane.h"
#include "processors/http_verdict.h"

namespace fetcher {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTellInterval{20};
constexpr int kLooks = 100;
// Batches that wait for a request to become full count against the lane, of which the engine fills no more than kDepth.
constexpr size_t kManyHeld = Lane::kDepth * 3 / 4;

void cpu_relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

std::chrono::system_clock::time_point wall_time_in(milliseconds pause) { return std::chrono::system_clock::now() + pause; }

}  // namespace

std::string DeliveryQueue::Job::key() const {
    const Assignment& a = *feed_->assignment;
    return a.consumer_id + "/" + a.topic + "/" + std::to_string(a.partition) + "/" + std::to_string(range_->first_offset) + "-" +
           std::to_string(range_->last_offset);
}

DeliveryQueue::DeliveryQueue(Options options) : options_(std::move(options)), sending_(options_.max_in_flight), limit_(options_.max_in_flight) {}

// --- the worker's side ---------------------------------------------------------------------------------------------------------

void DeliveryQueue::open(const std::shared_ptr<Assignment>& assignment, std::unique_ptr<RangeMemory> memory) {
    auto feed = std::make_shared<Feed>(options_.limits);
    feed->assignment = assignment;
    if (memory) {
        const auto& last = memory->last();
        const bool another = !last.topic_id.empty() && !assignment->topic_id.empty() && last.topic_id != assignment->topic_id;
        const bool gone = assignment->cut && last.next_offset > assignment->cut->offset;
        // Where records are sent one by one none is needed, and what was once sent together cannot be sent so again.
        if (!another && !gone && !options_.singly) feed->ranges.remember(last.ends);
        feed->memory = std::move(memory);
    }
    const std::lock_guard lock(mutex_);
    feeds_[assignment->partition] = std::move(feed);
}

void DeliveryQueue::add(const Batch& batch, size_t first) {
    const std::lock_guard lock(mutex_);
    const auto found = feeds_.find(batch.partition());
    FETCHER_INVARIANT(found != feeds_.end(), "a batch is of a partition that is open");
    held_++;
    found->second->ranges.add(batch, first, Clock::now());
    settle(*found->second);  // it may be nothing but a gap
    rouse();
}

bool DeliveryQueue::wait_drained(milliseconds pause) {
    std::unique_lock lock(mutex_);
    const auto done = [&] {
        return dead_ || std::ranges::all_of(feeds_, [](const auto& entry) {
                   const Feed& feed = *entry.second;
                   return feed.stuck || feed.ranges.idle() || feed.ranges.waits_for_remembered(Clock::now());
               });
    };
    const auto revoked = [&] { return std::ranges::any_of(feeds_, [](const auto& entry) { return entry.second->assignment->revoked.load(); }); };
    if (revoked() || done()) return true;
    draining_ = true;  // nothing waits for more records
    rouse();
    const bool is_done = drained_.wait_for(lock, pause, done);
    draining_ = false;
    return is_done || revoked();
}

void DeliveryQueue::close(int32_t partition, const Abort& abort) {
    const std::lock_guard lock(mutex_);
    const auto found = feeds_.find(partition);
    if (found == feeds_.end()) return;  // its open() had not succeeded yet
    const auto feed = found->second;
    feeds_.erase(found);
    tell(*feed);
    note_recovery(*feed);
    feed->closed = true;
    for (size_t i = 0; i < sending_.size(); i++)
        if (sending_[i].feed == feed) abort(i);
    // A batch that is being sent is still read: its sender gives it back.
    if (feed->in_flight == 0) feed->ranges.drop([&](const Batch& batch) { give_back(batch); });
}

void DeliveryQueue::abort_overdue(const Abort& abort) const {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    for (size_t i = 0; i < sending_.size(); i++)
        if (sending_[i].feed && now - sending_[i].since > options_.longest_request) abort(i);
}

bool DeliveryQueue::busy() const {
    const std::lock_guard lock(mutex_);
    return active_ > 0 || held_ > 0;
}

void DeliveryQueue::stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    work_.notify_all();
}

void DeliveryQueue::drop_all() {
    const std::lock_guard lock(mutex_);
    for (auto& [partition, feed] : feeds_) {
        tell(*feed);
        feed->ranges.drop([&](const Batch& batch) { give_back(batch); });
    }
    feeds_.clear();
}

void DeliveryQueue::give_back(const Batch& batch) {
    held_--;
    acks_->give_back(batch);
}

// --- the senders' side ---------------------------------------------------------------------------------------------------------

// Whether there may be no more records to wait for: the engine waits for batches to come back.
bool DeliveryQueue::hurried(const Feed& feed) const {
    return draining_ || held_ >= kManyHeld || feed.ranges.batches() >= static_cast<size_t>(Lane::share_of(feeds_.size()));
}

DeliveryQueue::TimePoint DeliveryQueue::ready_at() const {
    TimePoint at = TimePoint::max();
    for (const auto& [partition, feed] : feeds_) {
        if (feed->stuck) continue;
        at = std::min(at, feed->ranges.ready_at(hurried(*feed)));
    }
    return at == TimePoint::max() ? at : std::max(at, pause_until_);
}

// Wakes one sender more where there is something for it sooner than anybody looks.
void DeliveryQueue::rouse() {
    if (waiting_ > 0 && !dead_ && active_ < limit_.now() && ready_at() < leader_wake_) work_.notify_one();
}

// One sender waits until something becomes due; the others until they are called.
void DeliveryQueue::wait(std::unique_lock<std::mutex>& lock, TimePoint until) {
    waiting_++;
    if (until < leader_wake_) {
        leader_wake_ = until;
        work_.wait_until(lock, until);
        if (leader_wake_ == until) leader_wake_ = TimePoint::max();
    } else {
        work_.wait(lock);
    }
    waiting_--;
}

// It is held for a microsecond: to look again is cheaper than to sleep and be woken, where senders come by the ten thousand a second.
std::unique_lock<std::mutex> DeliveryQueue::lock_soon() {
    std::unique_lock lock(mutex_, std::defer_lock);
    for (int looks = 0; looks < kLooks; looks++) {
        if (lock.try_lock()) return lock;
        for (int n = 0; n < 8; n++) cpu_relax();
    }
    lock.lock();
    return lock;
}

std::optional<DeliveryQueue::Job> DeliveryQueue::next(size_t sender) {
    auto lock = lock_soon();
    while (!stopped_) {
        const auto now = Clock::now();
        TimePoint until = TimePoint::max();
        if (!dead_ && active_ < limit_.now()) {
            if (now >= pause_until_) {
                if (auto job = take(now, sender)) {
                    rouse();
                    return job;
                }
            }
            until = ready_at();
            if (until <= now) continue;  // became due meanwhile
        }
        wait(lock, until);
    }
    return std::nullopt;
}

std::optional<DeliveryQueue::Job> DeliveryQueue::take(TimePoint now, size_t sender) {
    auto it = feeds_.upper_bound(taken_last_);
    for (size_t n = feeds_.size(); n > 0; n--, ++it) {
        if (it == feeds_.end()) it = feeds_.begin();
        const auto& feed = it->second;
        if (feed->stuck) continue;
        RecordRange* range = feed->ranges.take(now, hurried(*feed));
        if (!range || !remember(*feed, *range, now)) continue;
        taken_last_ = it->first;
        feed->in_flight++;
        active_++;
        sending_[sender] = {feed, now};
        Job job;
        job.feed_ = feed;
        job.range_ = range;
        job.sender_ = sender;
        return job;
    }
    return std::nullopt;
}

// Before anything of a range goes out. False: it must wait. A single record is cut alike again without being remembered.
bool DeliveryQueue::remember(Feed& feed, RecordRange& range, TimePoint now) {
    if (!feed.memory || options_.singly) return true;
    const auto stored = feed.memory->store({feed.ranges.position(), feed.assignment->topic_id, feed.ranges.ends_under_way()});
    if (stored) return true;
    const auto pause = pause_after(range.tries);
    feed.ranges.retry(range, now + pause);
    feed.failing = true;
    acks_->retrying(stored.error().reason, wall_time_in(pause));
    return false;
}

// Ends the sending. False: the partition was closed meanwhile, and nothing more is to be done.
bool DeliveryQueue::release(const Job& job) {
    Feed& feed = *job.feed_;
    active_--;
    feed.in_flight--;
    sending_[job.sender_] = {};
    if (!feed.closed) return true;
    if (feed.in_flight == 0) feed.ranges.drop([&](const Batch& batch) { give_back(batch); });
    return false;
}

void DeliveryQueue::finish(const Job& job, const HttpAnswer& answer, const std::string& excerpt) {
    auto lock = lock_soon();
    if (!release(job)) return;
    Feed& feed = *job.feed_;
    const auto now = Clock::now();
    if (answer.kind == HttpAnswer::Kind::refused) return fail_locked(options_.endpoint + ": " + answer.trouble);
    if (answer.kind == HttpAnswer::Kind::aborted) return put_off(job, std::nullopt, options_.endpoint + ": no whole answer within the request_timeout");
    if (answer.kind == HttpAnswer::Kind::broken) return put_off(job, std::nullopt, options_.endpoint + ": " + answer.trouble);

    const std::string answered = options_.endpoint + " answered " + std::to_string(answer.status) + (excerpt.empty() ? "" : ": " + excerpt);
    switch (verdict_of(answer.status)) {
        case Verdict::delivered:
            limit_.went_well(now);
            feed.ranges.delivered(*job.range_);
            note_recovery(feed);
            settle(feed);
            break;
        case Verdict::retry: {
            const auto asked = parse_retry_after(answer.retry_after, std::chrono::system_clock::now());
            if (asks_for_less(answer.status)) {
                limit_.asked_for_less(now);
                if (asked) pause_until_ = std::max(pause_until_, now + *asked);
            }
            put_off(job, asked, answered);
            break;
        }
        case Verdict::bad_record:
            if (!feed.ranges.split(*job.range_)) refuse(lock, job, answered);
            break;
        case Verdict::endpoint:
            if (answer.status >= 300 && answer.status < 400) fail_locked(answered + "; redirects are not followed: set endpoint_url to where it leads");
            else fail_locked(answered + "; nothing can be sent until that is mended");
            break;
    }
}

void DeliveryQueue::retry(const Job& job, const std::string& why) {
    const std::lock_guard lock(mutex_);
    if (release(job)) put_off(job, std::nullopt, why);
}

void DeliveryQueue::fail(const std::string& why) {
    const std::lock_guard lock(mutex_);
    fail_locked(why);
}

void DeliveryQueue::fail_locked(const std::string& why) {
    if (dead_) return;
    dead_ = true;
    acks_->failed({ErrorKind::fatal, why});
    drained_.notify_all();
}

milliseconds DeliveryQueue::pause_after(int tries) {
    const RetryPolicy& retry = options_.retry;
    return retry.jittered(std::min(retry.max, retry.initial * (1 << std::min(tries, 16))), random_);
}

void DeliveryQueue::put_off(const Job& job, std::optional<milliseconds> asked, const std::string& why) {
    const auto pause = std::max(pause_after(job.range_->tries), asked.value_or(milliseconds(0)));
    job.feed_->ranges.retry(*job.range_, Clock::now() + pause);
    job.feed_->failing = true;
    acks_->retrying(why, wall_time_in(pause));
}

// It stands alone. Its range stays under way while it becomes a dead letter, which may take long and needs the lock open.
void DeliveryQueue::refuse(std::unique_lock<std::mutex>& lock, const Job& job, const std::string& why) {
    Feed& feed = *job.feed_;
    const auto piece = job.range_->pieces.front();
    tell(feed);
    feed.in_flight++;
    lock.unlock();
    const bool kept = acks_->refused(*piece.batch, {{piece.first, why}});
    lock.lock();
    feed.in_flight--;
    if (feed.closed) {
        if (feed.in_flight == 0) feed.ranges.drop([&](const Batch& batch) { give_back(batch); });
        return;
    }
    if (kept) {
        feed.ranges.delivered(*job.range_);
        note_recovery(feed);
        settle(feed);
        rouse();
        return;
    }
    feed.stuck = true;  // the consumer ends here
    drained_.notify_all();
}

void DeliveryQueue::note_recovery(Feed& feed) {
    if (!feed.failing) return;
    feed.failing = false;
    if (std::ranges::none_of(feeds_, [](const auto& entry) { return entry.second->failing; })) acks_->recovered();
}

void DeliveryQueue::settle(Feed& feed) {
    const size_t before = feed.ranges.batches();
    feed.ranges.settle([&](const Batch& batch) { give_back(batch); });
    const bool idle = feed.ranges.idle();
    // What a batch's end, a while, or nothing left to send brings together is told at once.
    if (idle || feed.ranges.batches() < before || Clock::now() - feed.told_at > kTellInterval) tell(feed);
    if (idle && draining_) drained_.notify_all();
}

void DeliveryQueue::tell(Feed& feed) {
    const int64_t position = feed.ranges.position();
    if (position < 0 || position == feed.told || feed.closed) return;
    feed.told = position;
    feed.told_at = Clock::now();
    acks_->durable(feed.assignment, position);
    // A failure to write costs a repetition at worst.
    if (feed.memory) (void)feed.memory->store({position, feed.assignment->topic_id, feed.ranges.ends_under_way()});
}

}  // namespace fetcher
