#include "processors/database_writer.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace fetcher {
namespace {

using std::chrono::milliseconds;
using Kind = DatabaseFailure::Kind;

constexpr std::chrono::seconds kSilence{60};
constexpr milliseconds kLookAgain{2'000};  // after a look that failed
constexpr milliseconds kPatience{2'000};  // how long the worker waits for room or the end before it is told why
constexpr std::chrono::seconds kLossLook{10};  // how often positions are looked at
constexpr milliseconds kLook{50};         // how soon a waiting worker sees that its partition is revoked
// How long a partition that another has written to may stay ours: by then the group has told us that it is not, or we are wrong.
constexpr std::chrono::seconds kFencePatience{5};
constexpr milliseconds kTurn{50};  // how long another's transaction is waited for
constexpr const char* kInternalError = "XX000";

DatabaseFailure lost(int32_t partition, bool row_is_gone) {
    return {Kind::fatal, "",
            "partition " + std::to_string(partition) + ": its position in fetcher_positions " +
                (row_is_gone ? "is gone: the database has lost its latest transactions, or somebody has deleted the row. The consumer starts again at the "
                               "offset that the group has committed; what the table has lost below that does not come again by itself"
                             : "has gone back: the database has lost its latest transactions, or somebody has changed the position. The consumer starts "
                               "again from there"),
            0};
}

}  // namespace

DatabaseWriter::DatabaseWriter(WriterRoom& room, const DatabaseConnector& connector, Acks& acks, BlockTransaction transaction, BlockLimits limits,
                               const RetryPolicy& retry)
    : room_(room), connector_(connector), acks_(acks), transaction_(std::move(transaction)), limits_(limits), retry_(retry),
      keeps_refused_(acks.keeps_refused()), thread_([this] { run(); }) {
    pthread_setname_np(thread_.native_handle(), "database_sync+");
}

DatabaseWriter::~DatabaseWriter() {
    {
        const std::lock_guard lock(room_.mutex);
        stopping_ = true;
    }
    stop_.stop();
    room_.changed.notify_all();
    thread_.join();
}

// --- worker ----------------------------------------------------------------------------------------------------------------

std::optional<Outcome> DatabaseWriter::obstacle() const {
    if (!failure_.empty()) return Outcome::fatal(failure_);
    if (!trouble_.empty()) return Outcome::retry(trouble_);
    return std::nullopt;
}

void DatabaseWriter::watch(const std::shared_ptr<Assignment>& assignment, const std::string& topic_id, std::optional<int64_t> next) {
    positions_.watch(assignment, topic_id, next);
}

std::optional<Outcome> DatabaseWriter::fill(const Assignment& assignment, const Fill& fill) {
    std::unique_lock lock(room_.mutex);
    const auto begun = Clock::now();
    while (is_full(filling_) && !halted_) {
        if (auto why = obstacle()) return why;
        // Where batches are held the worker has something better to do than to wait for long.
        if (keeps_refused_ && Clock::now() - begun > kPatience) return Outcome::retry(waits_for());
        if (assignment.revoked) return Outcome::retry("the partition is not ours any more");
        room_.changed.wait_for(lock, kLook);
    }
    if (!failure_.empty()) return Outcome::fatal(failure_);
    if (halted_) return Outcome::accepted();
    const bool was_empty = filling_.empty();
    fill(filling_);
    const bool first = was_empty && !filling_.empty();
    if (first) {
        filling_since_ = Clock::now();
        room_.waiting++;
    }
    const bool news = first || is_due();
    lock.unlock();
    if (news) room_.changed.notify_all();
    return std::nullopt;
}

std::string DatabaseWriter::waits_for() const {
    return burying_ ? "waiting until refused records are dead letters" : "waiting for PostgreSQL to commit what it has been sent";
}

std::optional<Outcome> DatabaseWriter::drain() {
    std::unique_lock lock(room_.mutex);
    const auto quiet = [&] { return halted_ || (filling_.empty() && in_flight_.empty()); };
    room_.changed.wait_for(lock, kPatience, [&] { return quiet() || obstacle(); });
    if (quiet()) return std::nullopt;
    if (auto why = obstacle()) return why;
    return Outcome::retry(waits_for());
}

bool DatabaseWriter::idle() const {
    const std::lock_guard lock(room_.mutex);
    return halted_ || (filling_.empty() && in_flight_.empty());
}

bool DatabaseWriter::holds(int32_t partition) const {
    const std::lock_guard lock(room_.mutex);
    const auto moves = [&](const PositionMove& move) { return move.assignment->partition == partition && !move.assignment->revoked; };
    return std::ranges::find(in_flight_, partition) != in_flight_.end() || std::ranges::any_of(filling_.moves(), moves);
}

std::string DatabaseWriter::trouble() const {
    const std::lock_guard lock(room_.mutex);
    return trouble_;
}

// --- its own thread ----------------------------------------------------------------------------------------------------------

// Transactions side by side cost PostgreSQL more for the same rows, and one of many rows costs less than many of few. So another's is let
// finish while ours still grows; where PostgreSQL is what all wait for, blocks fill up and go side by side. Not for long, for the other may
// itself be waiting for something.
bool DatabaseWriter::is_due() const {
    if (filling_.empty()) return false;
    const bool our_turn = room_.sending == 0 && (room_.last != this || room_.waiting == 1);
    return our_turn || is_full(filling_) || Clock::now() >= filling_since_ + kTurn;
}

void DatabaseWriter::run() {
    std::unique_lock lock(room_.mutex);
    next_look_ = Clock::now() + kLossLook;
    while (!stopping_) {
        if (!failure_.empty() || halted_) {
            room_.changed.wait(lock);
        } else if (Clock::now() >= next_look_) {
            lock.unlock();
            look_while_idle();
            lock.lock();
        } else if (!is_due()) {
            room_.changed.wait_until(lock, filling_.empty() ? next_look_ : std::min(next_look_, filling_since_ + kTurn));
        } else {
            std::swap(filling_, sending_);
            for (const auto& move : sending_.moves()) in_flight_.push_back(move.assignment->partition);
            room_.waiting--;
            room_.sending++;
            room_.last = this;
            lock.unlock();
            room_.changed.notify_all();
            deliver();
            sending_.clear(3 * limits_.bytes);  // a buffer that grows by doubling has up to twice what it holds, which is the limit and a row
            lock.lock();
            room_.sending--;
            in_flight_.clear();
            trouble_.clear();
            room_.changed.notify_all();
        }
    }
}

void DatabaseWriter::deliver() {
    Backoff backoff(retry_);
    std::optional<std::string> end;  // why the consumer ends once the block is written
    fenced_since_.reset();
    while (sending_.drop_revoked()) {
        if (!end) end = end_of_block();
        else sending_.end_before_refused();
        if (!sending_.drop_revoked()) break;
        sending_.limit(rows_at_once_);
        const auto done = attempt();
        if (done) {
            backoff.reset();
            say("");
            continue;
        }
        const auto& failure = done.error();
        // Where there is no connection yet, less at once is no help.
        if (connection_ && (failure.timed_out || failure.sqlstate == kInternalError)) take_smaller_steps();
        if (failure.kind == Kind::stopped) return;
        if (failure.kind == Kind::fatal || failure.kind == Kind::row) return give_up(failure);
        if (failure.kind == Kind::connection) {
            if (connection_) positions_.note_unanswered(sending_);
            connection_.reset();
        }
        say(words_for(failure));
        if (!pause(backoff.next())) return;
    }
    if (!end) return;
    if (keeps_refused_) halt();
    else give_up({Kind::row, "", *end, 0});
}

// Makes dead letters of what is refused. Where they are not to be, the block ends before the first of each partition; why the consumer ends.
std::optional<std::string> DatabaseWriter::end_of_block() {
    for (const auto& batch : sending_.held()) {
        const auto refused = sending_.refused_of(*batch);
        if (refused.empty()) continue;
        burying_ = true;
        step_aside();
        const bool kept = acks_.refused(*batch, refused);
        step_back();
        burying_ = false;
        if (kept) sending_.are_dead_letters(*batch);
        else if (!batch->assignment().revoked) break;
        else sending_.drop_revoked();  // another member's now, who finds them himself
    }
    auto why = sending_.end_before_refused();
    return why.empty() ? std::nullopt : std::optional(std::move(why));
}

// What took too long would take as long again; and an internal error is that of a row perhaps, which is found so.
void DatabaseWriter::take_smaller_steps() { rows_at_once_ = std::max<size_t>(1, sending_.rows_in_step() / 2); }

DatabaseResult<void> DatabaseWriter::attempt() {
    if (!connection_)
        if (auto connected = connect(); !connected) return connected;
    auto done = transaction_.write(*connection_, sending_);
    std::vector<BlockTransaction::RefusedRow> refused;
    if (!done && done.error().kind == Kind::row) {
        auto found = transaction_.write_or_find_refused(*connection_, sending_, !keeps_refused_);
        done = found ? DatabaseResult<void>{} : failed(std::move(found.error()));
        if (found) refused = std::move(*found);
    }
    if (!done && done.error().kind == Kind::moved) return settle();
    if (!done) return failed(std::move(done.error()));
    if (refused.empty()) acknowledge();
    for (auto& row : refused) sending_.refuse_row(row.index, "PostgreSQL: " + row.words);
    return {};
}

DatabaseResult<void> DatabaseWriter::connect() {
    auto connection = connector_.connect(stop_, kSilence);
    if (!connection) return failed(std::move(connection.error()));
    if (auto prepared = transaction_.prepare_session(**connection); !prepared) return prepared;
    if (auto looked = look_for_loss(**connection); !looked) return looked;
    connection_ = std::move(*connection);
    return {};
}

// Positions are not where we left them. Where it may be by a transaction of our own, what that has written is done with (go on with the
// rest). For what others have written we wait to be told that the partition is not ours: to acknowledge it is for them.
DatabaseResult<void> DatabaseWriter::settle() {
    const auto moved = transaction_.moved_positions(*connection_, sending_);
    if (!moved) return failed(moved.error());
    std::optional<int32_t> taken;
    for (const auto& [index, next] : *moved) {
        const PositionMove& move = sending_.moves()[index];
        if (next < move.from) return failed(lost(move.assignment->partition, !next));  // nullopt is less than any number
        if (positions_.may_be_ours(*move.assignment, *next)) {
            sending_.skip_to(index, *next);
            acks_.durable(move.assignment, std::min(*next, move.to));
            positions_.note(move, next, *next > move.to);  // beyond this block: the next one finds the same
        } else {
            taken = move.assignment->partition;
        }
    }
    if (!taken) {
        fenced_since_.reset();
        return {};
    }
    if (!fenced_since_) fenced_since_ = Clock::now();
    const bool enough = Clock::now() - *fenced_since_ > kFencePatience;
    return failed({enough ? Kind::fatal : Kind::transient, "",
                   "partition " + std::to_string(*taken) +
                       ": another process of the group has written to the table meanwhile and moved the position in fetcher_positions; nothing was "
                       "written twice",
                   0});
}

DatabaseResult<void> DatabaseWriter::look_for_loss(DatabaseConnection& connection) {
    next_look_ = Clock::now() + kLossLook;
    const auto found = transaction_.find_lost(connection, positions_.expected());
    if (!found) return failed(found.error());
    if (*found) return failed(lost((*found)->partition, (*found)->row_is_gone));
    return {};
}

void DatabaseWriter::look_while_idle() {
    auto looked = connection_ ? look_for_loss(*connection_) : connect();
    // One that was closed while nobody looked says nothing about the server.
    if (!looked && looked.error().kind == Kind::connection && std::exchange(connection_, nullptr)) looked = connect();
    if (looked) {
        if (std::exchange(told_away_, false)) acks_.recovered();
        return;
    }
    next_look_ = Clock::now() + kLookAgain;
    if (looked.error().kind == Kind::stopped) return;
    if (looked.error().kind == Kind::fatal || looked.error().kind == Kind::row) return give_up(looked.error());
    if (looked.error().kind == Kind::connection) connection_.reset();
    told_away_ = true;
    acks_.retrying(looked.error().words, std::chrono::system_clock::now() + kLookAgain);
}

void DatabaseWriter::acknowledge() {
    const auto ends = sending_.step_ends();
    for (size_t m = 0; m < ends.size(); m++) {
        const auto& move = sending_.moves()[m];
        if (move.dropped) continue;
        acks_.durable(move.assignment, ends[m]);
        positions_.note(move, ends[m], false);
    }
    sending_.step();
    fenced_since_.reset();
    // Slowly: where the limit stays, only one in a few is in vain.
    if (rows_at_once_ <= limits_.records) rows_at_once_ += rows_at_once_ / 4 + 1;
}

// For a person. An internal error, which may be a bug of an extension that one row meets, is tried again for ever: which row, he must know.
std::string DatabaseWriter::words_for(const DatabaseFailure& failure) const {
    if (failure.sqlstate != kInternalError) return failure.words;
    const auto rows = sending_.rows_to_write();
    if (rows.size() != 1) return failure.words;
    const auto& row = sending_.rows()[rows.front()];
    return "PostgreSQL fails at the record at partition " + std::to_string(sending_.moves()[row.move].assignment->partition) + " offset " +
           std::to_string(row.offset) + ", which is tried again until that is mended: " + failure.words;
}

void DatabaseWriter::give_up(const DatabaseFailure& failure) {
    std::string words = failure.words;
    if (const auto remedy = remedy_for(failure.sqlstate); !remedy.empty() && words.find(remedy) == std::string::npos) words += "; " + remedy;
    {
        const std::lock_guard lock(room_.mutex);
        failure_ = words;
        leave_line();
    }
    room_.changed.notify_all();
    acks_.failed({ErrorKind::fatal, std::move(words)});
}

void DatabaseWriter::halt() {
    {
        const std::lock_guard lock(room_.mutex);
        halted_ = true;
        leave_line();
    }
    room_.changed.notify_all();
}

// Nothing is sent any more.
void DatabaseWriter::leave_line() {
    if (!filling_.empty() && !left_line_) room_.waiting--;
    left_line_ = true;
}

void DatabaseWriter::say(const std::string& trouble) {
    if (trouble == trouble_) return;  // which nobody else writes
    {
        const std::lock_guard lock(room_.mutex);
        trouble_ = trouble;
    }
    room_.changed.notify_all();
}

bool DatabaseWriter::pause(milliseconds time) {
    step_aside();
    bool stopped = false;
    {
        std::unique_lock lock(room_.mutex);
        stopped = room_.changed.wait_for(lock, time, [&] { return stopping_; });
    }
    step_back();
    return !stopped;
}

// Others need not wait while no transaction is open.
void DatabaseWriter::step_aside() {
    {
        const std::lock_guard lock(room_.mutex);
        room_.sending--;
    }
    room_.changed.notify_all();
}

void DatabaseWriter::step_back() {
    const std::lock_guard lock(room_.mutex);
    room_.sending++;
}

}  // namespace fetcher
