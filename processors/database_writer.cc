#include "processors/database_writer.h"

#include <pthread.h>

#include <algorithm>

namespace fetcher {
namespace {

using std::chrono::milliseconds;
using Kind = DatabaseFailure::Kind;

constexpr std::chrono::seconds kSilence{60};
constexpr milliseconds kFirstRetry{100};
constexpr milliseconds kLongestRetry{2'000};
constexpr milliseconds kPatience{2'000};  // how long the worker waits for room or the end before it is told why
constexpr milliseconds kLook{50};         // how soon a waiting worker sees that its partition is revoked
// How long a partition that another has written to may stay ours: by then the group has told us that it is not, or we are wrong.
constexpr std::chrono::seconds kFencePatience{5};

}  // namespace

DatabaseWriter::DatabaseWriter(const DatabaseConnector& connector, Acks& acks, BlockTransaction transaction, BlockLimits limits)
    : connector_(connector), acks_(acks), transaction_(std::move(transaction)), limits_(limits), keeps_refused_(acks.keeps_refused()),
      thread_([this] { run(); }) {
    pthread_setname_np(thread_.native_handle(), "database_sync+");
}

DatabaseWriter::~DatabaseWriter() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    stop_.stop();
    changed_.notify_all();
    thread_.join();
}

// --- worker ----------------------------------------------------------------------------------------------------------------

std::optional<Outcome> DatabaseWriter::obstacle() const {
    if (!failure_.empty()) return Outcome::fatal(failure_);
    if (!trouble_.empty()) return Outcome::retry(trouble_);
    return std::nullopt;
}

std::optional<Outcome> DatabaseWriter::fill(const Assignment& assignment, const Fill& fill) {
    std::unique_lock lock(mutex_);
    const auto begun = Clock::now();
    while (is_full(filling_) && !halted_) {
        if (auto why = obstacle()) return why;
        // Where batches are held the worker has something better to do than to wait for long.
        if (keeps_refused_ && Clock::now() - begun > kPatience) return Outcome::retry("waiting for PostgreSQL to commit what it has been sent");
        if (assignment.revoked) return Outcome::retry("the partition is not ours any more");
        changed_.wait_for(lock, kLook);
    }
    if (!failure_.empty()) return Outcome::fatal(failure_);
    if (halted_) return Outcome::accepted();
    fill(filling_);
    lock.unlock();
    changed_.notify_all();
    return std::nullopt;
}

std::optional<Outcome> DatabaseWriter::drain() {
    std::unique_lock lock(mutex_);
    const auto quiet = [&] { return halted_ || (filling_.empty() && in_flight_.empty()); };
    changed_.wait_for(lock, kPatience, [&] { return quiet() || obstacle(); });
    if (quiet()) return std::nullopt;
    if (auto why = obstacle()) return why;
    return Outcome::retry("waiting for PostgreSQL to commit what it has been sent");
}

bool DatabaseWriter::idle() const {
    const std::lock_guard lock(mutex_);
    return halted_ || (filling_.empty() && in_flight_.empty());
}

bool DatabaseWriter::holds(int32_t partition) const {
    const std::lock_guard lock(mutex_);
    const auto moves = [&](const PositionMove& move) { return move.assignment->partition == partition && !move.assignment->revoked; };
    return std::ranges::find(in_flight_, partition) != in_flight_.end() || std::ranges::any_of(filling_.moves(), moves);
}

std::string DatabaseWriter::trouble() const {
    const std::lock_guard lock(mutex_);
    return trouble_;
}

// --- its own thread ----------------------------------------------------------------------------------------------------------

void DatabaseWriter::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [&] { return stopping_ || (!filling_.empty() && failure_.empty() && !halted_); });
        if (stopping_) return;
        std::swap(filling_, sending_);
        for (const auto& move : sending_.moves()) in_flight_.push_back(move.assignment->partition);
        lock.unlock();
        changed_.notify_all();
        deliver();
        sending_.clear();
        lock.lock();
        in_flight_.clear();
        trouble_.clear();
        changed_.notify_all();
    }
}

void DatabaseWriter::deliver() {
    Backoff backoff(kFirstRetry, kLongestRetry);
    std::optional<std::string> end;  // why the consumer ends once the block is written
    fenced_since_.reset();
    while (sending_.drop_revoked()) {
        if (!end) end = end_of_block();
        else sending_.end_before_refused();
        const auto done = attempt();
        if (done && *done) break;
        if (done) continue;
        const auto& failure = done.error();
        if (failure.kind == Kind::stopped) return;
        if (failure.kind == Kind::fatal || failure.kind == Kind::row) return give_up(failure);
        if (failure.kind == Kind::connection) connection_.reset();
        say(failure.words);
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
        if (!acks_.refused(*batch, refused)) break;
        sending_.are_dead_letters(*batch);
    }
    auto why = sending_.end_before_refused();
    return why.empty() ? std::nullopt : std::optional(std::move(why));
}

DatabaseResult<bool> DatabaseWriter::attempt() {
    if (!connection_)
        if (auto connected = connect(); !connected) return failed(std::move(connected.error()));
    auto done = transaction_.write(*connection_, sending_);
    std::vector<BlockTransaction::RefusedRow> refused;
    if (!done && done.error().kind == Kind::row) {
        auto found = transaction_.write_or_find_refused(*connection_, sending_, !keeps_refused_);
        done = found ? DatabaseResult<void>{} : failed(std::move(found.error()));
        if (found) refused = std::move(*found);
    }
    if (!done) return failed(done.error().kind == Kind::moved ? settle().error() : std::move(done.error()));
    if (refused.empty()) {
        acknowledge();
        return true;
    }
    for (auto& row : refused) sending_.refuse_row(row.index, "PostgreSQL: " + row.words);
    return false;
}

DatabaseResult<void> DatabaseWriter::connect() {
    auto connection = connector_.connect(stop_, kSilence);
    if (!connection) return failed(std::move(connection.error()));
    if (auto prepared = transaction_.prepare_session(**connection); !prepared) return prepared;
    connection_ = std::move(*connection);
    return {};
}

// Somebody has moved a position. Ours whose answer was lost are done with; for others we wait to be told that the partition is not ours.
DatabaseResult<void> DatabaseWriter::settle() {
    const auto settled = transaction_.settle(*connection_, sending_);
    if (!settled) return failed(settled.error());
    for (const auto& move : settled->done) acks_.durable(move.assignment, move.to);
    if (!settled->lost.empty()) {
        return failed({Kind::fatal, "",
                       "partition " + std::to_string(settled->lost.front()) +
                           ": its position in fetcher_positions has gone back: the database has lost its latest transactions, or somebody has "
                           "changed the position. The consumer starts again from there",
                       0});
    }
    if (settled->taken.empty()) {
        fenced_since_.reset();
        return failed({Kind::transient, "", "a transaction had been committed already although its answer was lost", 0});
    }
    if (!fenced_since_) fenced_since_ = Clock::now();
    const bool enough = Clock::now() - *fenced_since_ > kFencePatience;
    return failed({enough ? Kind::fatal : Kind::transient, "",
                   "partition " + std::to_string(settled->taken.front()) +
                       ": another process of the group has written to the table meanwhile and moved the position in fetcher_positions; nothing was "
                       "written twice",
                   0});
}

void DatabaseWriter::acknowledge() {
    for (const auto& move : sending_.moves())
        if (!move.dropped) acks_.durable(move.assignment, move.to);
}

void DatabaseWriter::give_up(const DatabaseFailure& failure) {
    std::string words = failure.words;
    if (const auto remedy = remedy_for(failure.sqlstate); !remedy.empty() && words.find(remedy) == std::string::npos) words += "; " + remedy;
    {
        const std::lock_guard lock(mutex_);
        failure_ = words;
    }
    changed_.notify_all();
    acks_.failed({ErrorKind::fatal, std::move(words)});
}

void DatabaseWriter::halt() {
    {
        const std::lock_guard lock(mutex_);
        halted_ = true;
    }
    changed_.notify_all();
}

void DatabaseWriter::say(const std::string& trouble) {
    {
        const std::lock_guard lock(mutex_);
        trouble_ = trouble;
    }
    changed_.notify_all();
}

bool DatabaseWriter::pause(milliseconds time) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, time, [&] { return stopping_; });
}

}  // namespace fetcher
