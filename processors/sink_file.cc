#include "processors/sink_file.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace fetcher {
namespace {

constexpr uint64_t kSyncBytes = uint64_t{64} << 20;  // a sync is due after this much, however young it is
constexpr std::chrono::milliseconds kTimerRetry{250};
constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

int64_t unix_ms(std::chrono::system_clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

Result<std::unique_ptr<SinkFile>> SinkFile::open(SystemCalls& calls, SyncThread& sync, const SinkFileOptions& options) {
    auto opened = open_sink(calls, options.path, options.format, options.owner);
    if (!opened) return tl::unexpected<Error>(opened.error());
    return std::unique_ptr<SinkFile>(new SinkFile(calls, sync, options, std::move(*opened)));
}

SinkFile::SinkFile(SystemCalls& calls, SyncThread& sync, SinkFileOptions options, OpenedSink opened)
    : calls_(calls),
      sync_(sync),
      options_(std::move(options)),
      files_(std::move(opened)),
      encoder_(options_.format),
      state_(files_.checkpoint.state()),
      requested_bytes_(files_.data.written_bytes()) {
    if (state_.length_bytes == 0) {
        state_.content = options_.format.name();
        state_.begun_ms = 0;
        return;
    }
    rotation_wanted_ = state_.content != options_.format.name();
    const int64_t now_ms = unix_ms(calls_.wall_now());
    // Of somebody else, or from the future of a clock that went back: its age counts from now.
    if (state_.begun_ms <= 0 || state_.begun_ms > now_ms) state_.begun_ms = now_ms;
    const auto age = std::chrono::milliseconds(now_ms - state_.begun_ms);
    begun_at_ = calls_.now() - age;
}

SinkFile::~SinkFile() { sync_.wait_for(*this); }

// --- partitions ------------------------------------------------------------------------------------------------------------

Result<std::optional<Position>> SinkFile::add(const std::shared_ptr<Assignment>& assignment) {
    // The position we tell must survive a power cut: other partitions may have left the file with records that are not safe yet.
    if (auto synced = sync_now(); !synced) return tl::unexpected<Error>(synced.error());
    if (auto made = make_room_for(assignment); !made) return tl::unexpected<Error>(made.error());
    cursors_[assignment->partition] = Cursor{assignment};
    auto position = state_.positions.find(assignment->group, assignment->topic, assignment->partition);
    // From the older slot: the group may have committed what only the damaged one said, and the file was cut before it.
    if (position) position->authoritative = files_.checkpoint.fell_back() && !advanced_.contains(assignment->partition);
    return position;
}

// No sync may find its slot too small: room is made when a partition comes.
Result<void> SinkFile::make_room_for(const std::shared_ptr<Assignment>& assignment) {
    CheckpointState later = state_;
    const auto count_in = [&](const Assignment& a) { later.positions.entry(a.group, a.topic, a.topic_id, a.partition); };
    count_in(*assignment);
    for (const auto& [partition, cursor] : cursors_) count_in(*cursor.assignment);
    if (files_.checkpoint.has_room_for(later)) return {};
    return files_.checkpoint.grow_for(later);
}

void SinkFile::advance(Cursor& cursor, int64_t next_offset, const Batch& batch) {
    if (next_offset <= cursor.next_offset) return;
    cursor.next_offset = next_offset;
    if (!cursor.stored) {
        const Assignment& a = *cursor.assignment;
        advanced_.insert(a.partition);
        cursor.stored = &state_.positions.entry(a.group, a.topic, a.topic_id, a.partition);
    }
    *cursor.stored = {next_offset, batch.leader_epoch(next_offset)};
    all_durable_ = false;
    if (!dirty_since_) dirty_since_ = calls_.now();
}

// --- writing ---------------------------------------------------------------------------------------------------------------

Outcome SinkFile::write(const Batch& batch, size_t first) {
    if (auto error = failure()) return Outcome::fatal(std::move(error->reason));
    const auto found = cursors_.find(batch.partition());
    FETCHER_INVARIANT(found != cursors_.end(), "a batch is of a partition that is open");
    Cursor& cursor = found->second;
    // A batch that comes again after a retry: what it left in the file stays there.
    size_t at = std::max(first, batch.lower_bound(cursor.next_offset));
    while (at < batch.size()) {
        if (auto ready = prepare_write(); !ready) return outcome_of(ready.error());
        const auto next = write_some(batch, at);
        if (!next) return outcome_of(next.error());
        if (*next > at) advance(cursor, *next < batch.size() ? batch.record(*next).offset() : batch.next_offset(), batch);
        at = *next;
    }
    advance(cursor, batch.next_offset(), batch);
    if (!sync_due()) return Outcome::accepted();
    const auto requested = request_sync();
    if (requested || requested.error().kind == ErrorKind::transient) return Outcome::accepted();  // on_timer() tries again
    return outcome_of(requested.error());
}

Result<void> SinkFile::prepare_write() {
    if (rotation_ != Rotation::none) return rotate();
    if (auto settled = files_.data.settle(); !settled) return settled;
    if (rotation_due()) return rotate();
    return {};
}

Result<size_t> SinkFile::write_some(const Batch& batch, size_t first) {
    const uint64_t length = files_.data.length_bytes();
    const bool limited = options_.rotate_bytes > 0 && options_.format.compression == Compression::none;
    const size_t limit = limited ? static_cast<size_t>(options_.rotate_bytes - std::min(options_.rotate_bytes, length)) : kNoLimit;
    const auto piece = encoder_.frame(batch, first, limit);
    if (piece.bytes.size() > limit && length > 0) {
        rotation_wanted_ = true;
        return first;
    }
    if (auto newline = append_newline_if_missing(); !newline) return tl::unexpected<Error>(newline.error());
    const auto bytes = encoder_.compress(piece.bytes);
    if (!bytes) return tl::unexpected<Error>(bytes.error());
    if (auto appended = files_.data.append(*bytes); !appended) return tl::unexpected<Error>(appended.error());
    note_first_byte();
    return piece.end;
}

// --- syncing ---------------------------------------------------------------------------------------------------------------

bool SinkFile::sync_due() const {
    if (!dirty_since_) return false;
    return files_.data.length_bytes() - requested_bytes_ >= kSyncBytes || calls_.now() - *dirty_since_ >= options_.fsync_interval;
}

Result<SyncPoint> SinkFile::take_sync_point() {
    const auto end = encoder_.finish();
    if (!end) return tl::unexpected<Error>(end.error());
    if (auto appended = files_.data.append(*end); !appended) return tl::unexpected<Error>(appended.error());
    if (auto settled = files_.data.settle(); !settled) return tl::unexpected<Error>(settled.error());
    if (auto checked = files_.data.check_size(); !checked) return tl::unexpected<Error>(checked.error());
    state_.length_bytes = files_.data.written_bytes();
    SyncPoint point{state_, {}};
    for (const auto& [partition, cursor] : cursors_) {
        if (cursor.next_offset != Positions::kNone) point.acks.emplace_back(cursor.assignment, cursor.next_offset);
    }
    dirty_since_.reset();
    requested_bytes_ = state_.length_bytes;
    return point;
}

Result<void> SinkFile::request_sync() {
    if (rotation_ != Rotation::none) {
        if (auto rotated = rotate(); !rotated) return rotated;
    }
    auto point = take_sync_point();
    if (!point) {
        retry_at_ = calls_.now() + kTimerRetry;
        return tl::unexpected<Error>(point.error());
    }
    retry_at_.reset();
    sync_.request(*this, std::move(*point));
    return {};
}

Result<void> SinkFile::sync_now() {
    if (auto error = failure()) return tl::unexpected<Error>(std::move(*error));
    if (rotation_ != Rotation::none) {
        if (auto rotated = rotate(); !rotated) return rotated;
    }
    if (all_durable_) return {};
    const auto point = take_sync_point();
    if (!point) return tl::unexpected<Error>(point.error());
    if (auto synced = sync_.run(*this, *point); !synced) return synced;
    all_durable_ = true;
    return {};
}

Result<void> SinkFile::make_durable(const SyncPoint& point) {
    const auto tail = files_.data.make_durable(point.state.length_bytes);
    if (!tail) return tl::unexpected<Error>(tail.error());
    if (auto in_place = files_.checkpoint.check_in_place(); !in_place) return in_place;
    CheckpointState state = point.state;
    state.tail = *tail;
    return files_.checkpoint.store(std::move(state));
}

Outcome SinkFile::flush() {
    if (auto synced = sync_now(); !synced) return outcome_of(synced.error());
    return Outcome::durable();
}

// --- timers ----------------------------------------------------------------------------------------------------------------

std::optional<Clock::time_point> SinkFile::wake_at() const {
    if (failed_.load(std::memory_order_acquire)) return std::nullopt;
    std::optional<Clock::time_point> at;
    const auto sooner = [&](Clock::time_point time) { at = at ? std::min(*at, time) : time; };
    if (dirty_since_) sooner(*dirty_since_ + options_.fsync_interval);
    if (begun_at_ && options_.rotate_interval.count() > 0 && files_.data.length_bytes() > 0) sooner(*begun_at_ + options_.rotate_interval);
    if (rotation_ != Rotation::none && retry_at_) sooner(*retry_at_);
    if (at && retry_at_) at = std::max(*at, *retry_at_);
    return at;
}

Outcome SinkFile::on_timer() {
    if (auto error = failure()) return Outcome::fatal(std::move(error->reason));
    retry_at_.reset();
    Result<void> done;
    if (rotation_ != Rotation::none || rotation_due()) done = rotate();
    if (done && sync_due()) done = request_sync();
    if (done) return Outcome::accepted();
    retry_at_ = calls_.now() + kTimerRetry;
    return outcome_of(done.error());
}

// --- failure ---------------------------------------------------------------------------------------------------------------

Outcome SinkFile::outcome_of(const Error& error) {
    if (error.kind == ErrorKind::fatal) fail(error);
    return failed_.load(std::memory_order_acquire) ? Outcome::fatal(error.reason) : Outcome::of(error);
}

void SinkFile::fail(const Error& error) {
    const std::lock_guard lock(failure_mutex_);
    if (failed_.load(std::memory_order_relaxed)) return;
    failure_ = error;
    failed_.store(true, std::memory_order_release);
}

std::optional<Error> SinkFile::failure() const {
    if (!failed_.load(std::memory_order_acquire)) return std::nullopt;
    const std::lock_guard lock(failure_mutex_);
    return failure_;
}

}  // namespace fetcher
