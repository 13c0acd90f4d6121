// DatabaseWriter: one connection and the thread that writes to it. While it writes one block, the worker fills the next: under load
// transactions grow, at a low rate each batch is one of its own, at once. The writers of a sink take turns while their blocks are not full.
//
// Whatever fails for now is tried again with backoff, with the same bytes; trouble() says why meanwhile. What fails for good is told
// through Acks::failed, and nothing is written any more. Refused records become dead letters, where there is a place for them, before the
// position moves over them; no transaction is open and no lock held meanwhile.
// Thread: every member worker, but for the thread's own; the mutex is held while a batch is encoded or blocks change hands, never while
// the server is waited for
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/backoff.h"
#include "engine/processor.h"
#include "processors/block_transaction.h"
#include "processors/database_connector.h"
#include "processors/watched_positions.h"

namespace fetcher {

struct BlockLimits {
    size_t records = 0;
    size_t bytes = 0;
};

// What the writers of a sink have in common; all of it is guarded by the mutex.
struct WriterRoom {
    std::mutex mutex;
    std::condition_variable changed;
    int waiting = 0;  // how many have rows that they do not send yet
    int sending = 0;
    const void* last = nullptr;  // which began to send last
};

class DatabaseWriter {
  public:
    // room, connector and acks outlive it.
    DatabaseWriter(WriterRoom& room, const DatabaseConnector& connector, Acks& acks, BlockTransaction transaction, BlockLimits limits, const RetryPolicy& retry);
    ~DatabaseWriter();  // breaks off whatever it is doing

    // The position of the assignment's partition is stored as `next` (nullopt: not yet) under this topic id. From now on it is looked at
    // every few seconds and after each reconnect: where it has gone back the database has lost transactions, and the consumer fails.
    void watch(const std::shared_ptr<Assignment>& assignment, const std::string& topic_id, std::optional<int64_t> next);

    // Calls fill(block) once there is room. Waits for room while all is well and the assignment is ours. nullopt: done; otherwise why not,
    // `accepted` where nothing is written any more because the consumer is about to stop.
    using Fill = std::function<void(RowBlock& block)>;
    std::optional<Outcome> fill(const Assignment& assignment, const Fill& fill);
    bool is_full(const RowBlock& block) const { return block.rows().size() >= limits_.records || block.size_bytes() >= limits_.bytes; }

    // Waits a while until everything is durable. nullopt: it is, or never will be; otherwise why not yet.
    std::optional<Outcome> drain();
    bool idle() const;
    // Whether a row or position of the partition is still on its way.
    bool holds(int32_t partition) const;
    // Why it cannot write at present; "" while all is well.
    std::string trouble() const;

  private:
    using Clock = std::chrono::steady_clock;

    void run();
    bool is_due() const;  // needs the mutex
    void deliver();
    DatabaseResult<void> attempt();  // one step forward, or to what is refused
    std::optional<std::string> end_of_block();
    DatabaseResult<void> connect();
    DatabaseResult<void> settle();
    DatabaseResult<void> look_for_loss(DatabaseConnection& connection);
    void look_while_idle();
    void acknowledge();
    void take_smaller_steps();
    std::string words_for(const DatabaseFailure& failure) const;
    void give_up(const DatabaseFailure& failure);
    void halt();
    void leave_line();  // needs the mutex
    void step_aside();
    void step_back();
    void say(const std::string& trouble);
    bool pause(std::chrono::milliseconds time);  // false: stopped
    std::optional<Outcome> obstacle() const;     // needs the mutex
    std::string waits_for() const;

    WriterRoom& room_;
    const DatabaseConnector& connector_;
    Acks& acks_;
    const BlockTransaction transaction_;
    const BlockLimits limits_;
    const RetryPolicy retry_;
    const bool keeps_refused_;
    StopSignal stop_;

    WatchedPositions positions_;
    RowBlock filling_;                // guarded by the room's mutex, like the next seven
    Clock::time_point filling_since_;
    std::vector<int32_t> in_flight_;  // partitions of sending_
    std::string trouble_;
    std::string failure_;
    bool halted_ = false;  // the consumer stops: a refused record is no dead letter
    bool stopping_ = false;
    bool left_line_ = false;

    std::atomic<bool> burying_{false};  // refused records are on their way to be dead letters

    // The thread's own.
    RowBlock sending_;
    std::unique_ptr<DatabaseConnection> connection_;
    size_t rows_at_once_ = std::numeric_limits<size_t>::max();  // less after a transaction that took too long
    std::optional<Clock::time_point> fenced_since_;
    Clock::time_point next_look_;
    bool told_away_ = false;  // while idle
    std::thread thread_;
};

}  // namespace fetcher
