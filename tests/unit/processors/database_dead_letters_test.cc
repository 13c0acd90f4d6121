// database_sync where refused records become dead letters: batches are held, everything refused of a block is told, the rest is written.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>

#include "database_world.h"

namespace fetcher {
namespace {

using Kind = Outcome::Kind;
using Lines = std::vector<std::string>;

// The engine's side: a place for dead letters, and the count of what is held.
class DeadLetters final : public Acks {
  public:
    void durable(const std::shared_ptr<Assignment>& assignment, int64_t next_offset) override { durable_.durable(assignment, next_offset); }
    void failed(Error error) override { durable_.failed(std::move(error)); }
    void give_back(const Batch& batch) override {
        const std::lock_guard lock(mutex_);
        given_back_.push_back(&batch);
    }
    bool keeps_refused() const override { return true; }
    bool refused(const Batch& batch, const std::vector<BadRecord>& bad) override {
        std::string call;
        for (const auto& record : bad) call += (call.empty() ? "" : " ") + std::to_string(batch.partition()) + ":" + std::to_string(batch.record(record.index).offset());
        if (meanwhile) meanwhile();
        const std::lock_guard lock(mutex_);
        calls_.push_back(call);
        why_.push_back(bad.front().why);
        return accepts;
    }

    int64_t durable_below(int32_t partition) const { return durable_.durable_below(partition); }
    std::string failure() const { return durable_.failure() ? durable_.failure()->reason : ""; }
    Lines calls() const {
        const std::lock_guard lock(mutex_);
        return calls_;
    }
    Lines why() const {
        const std::lock_guard lock(mutex_);
        return why_;
    }
    size_t given_back() const {
        const std::lock_guard lock(mutex_);
        return given_back_.size();
    }

    std::atomic<bool> accepts{true};
    std::function<void()> meanwhile;  // set before anything is written

  private:
    RecordingAcks durable_;
    mutable std::mutex mutex_;
    Lines calls_, why_;
    std::vector<const Batch*> given_back_;
};

class DatabaseDeadLetters : public DatabaseWorld {
  protected:
    static constexpr const char* kUpsert = R"({"columns": {"id": "/id", "v": "/v"}, "mode": "upsert", "key_columns": ["id"]})";
    static constexpr const char* kChecked = R"({"columns": {"x": "/x", "o": "$offset"}, "workers": 1, "max_batch_records": 1000})";

    void make_checked() { run("CREATE TABLE " + named("checked") + " (x int CHECK (x >= 0), o bigint)"); }

    // The batch lives as long as the test, as one of the engine's lives until it is given back.
    Kind hand(DatabaseSync& sink, const std::shared_ptr<Assignment>& assignment, int64_t first_offset, const std::vector<std::string>& values) {
        Batch& batch = batches_.emplace_back();
        batch.begin(assignment, first_offset);
        for (const auto& value : values) {
            batch.add(first_offset++, 1'738'324'800'123, value);
            batch.add_key(std::nullopt);
        }
        return sink.write(batch, 0).kind;
    }
    // As the worker does between batches.
    void serve_until(DatabaseSync& sink, const std::function<bool()>& done) {
        for (int i = 0; i < 2000 && !done(); i++) {
            if (const auto at = sink.wake_at(); at && *at <= Clock::now()) sink.on_timer();
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        EXPECT_TRUE(done());
    }
    static std::vector<std::string> numbers(int from, int to) {
        std::vector<std::string> values;
        for (int x = from; x < to; x++) values.push_back("{\"x\":" + std::to_string(x) + "}");
        return values;
    }
    std::string position(int partition) {
        return one("SELECT next FROM " + named("fetcher_positions") + " WHERE partition = " + std::to_string(partition));
    }

    std::deque<Batch> batches_;
    DeadLetters letters_;
    std::shared_ptr<Assignment> four_ = make_assignment(4), five_ = make_assignment(5);
};

TEST_F(DatabaseDeadLetters, EverythingRefusedOfABatchIsToldAtOnceAndTheRestIsWritten) {
    make_checked();
    auto sink = make_sink("checked", kChecked, &letters_);
    ASSERT_TRUE(sink->open(four_));
    ASSERT_TRUE(sink->open(five_));
    auto values = numbers(0, 300);
    for (const size_t refused : {0U, 7U, 8U, 200U, 299U}) values[refused] = R"({"x":-1})";
    EXPECT_EQ(hand(*sink, four_, 1000, values), Kind::held);
    EXPECT_EQ(hand(*sink, five_, 0, {R"({"x":1})", R"({"x":-2})"}), Kind::held);
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << letters_.failure();
    auto calls = letters_.calls();
    std::ranges::sort(calls);
    EXPECT_EQ(calls, (Lines{"4:1000 4:1007 4:1008 4:1200 4:1299", "5:1"}));
    EXPECT_NE(letters_.why().front().find("violates check constraint"), std::string::npos) << letters_.why().front();
    EXPECT_EQ(letters_.why().front().find("Failing row"), std::string::npos) << letters_.why().front();
    EXPECT_EQ(one("SELECT count(*), count(DISTINCT x), sum(x) FROM " + named("checked") + " WHERE o >= 1000"),
              "295|295|" + std::to_string(299 * 150 - 0 - 7 - 8 - 200 - 299));
    EXPECT_EQ(position(4), "1300");
    EXPECT_EQ(letters_.durable_below(4), 1300);
    EXPECT_EQ(letters_.durable_below(5), 2);
    EXPECT_EQ(letters_.given_back(), 2U);
    EXPECT_EQ(letters_.failure(), "");
}

TEST_F(DatabaseDeadLetters, WhatCannotBeEncodedGoesAlong) {
    make_checked();
    auto sink = make_sink("checked", kChecked, &letters_);
    ASSERT_TRUE(sink->open(four_));
    EXPECT_EQ(hand(*sink, four_, 0, {"no JSON", R"({"x":1})", R"({"x":"one"})", R"({"x":2})"}), Kind::held);
    EXPECT_EQ(hand(*sink, four_, 4, {"no JSON either"}), Kind::held);
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << letters_.failure();
    EXPECT_EQ(letters_.calls(), (Lines{"4:0 4:2", "4:4"}));
    EXPECT_NE(letters_.why().front().find("not JSON"), std::string::npos) << letters_.why().front();
    EXPECT_EQ(rows("SELECT x, o FROM " + named("checked") + " ORDER BY o"), (Lines{"1|1", "2|3"}));
    EXPECT_EQ(position(4), "5");
    EXPECT_EQ(letters_.given_back(), 2U);
}

TEST_F(DatabaseDeadLetters, ABatchOfManyBlocksIsGivenBackOnce) {
    make_checked();
    auto sink = make_sink("checked", R"({"columns": {"x": "/x", "o": "$offset"}, "workers": 1, "max_batch_records": 7})", &letters_);
    ASSERT_TRUE(sink->open(four_));
    auto values = numbers(0, 100);
    values[50] = values[99] = R"({"x":-1})";
    values[70] = "no JSON";
    EXPECT_EQ(hand(*sink, four_, 0, values), Kind::held);
    serve_until(*sink, [&] { return letters_.durable_below(4) == 100; });
    ASSERT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(letters_.calls(), (Lines{"4:50", "4:70", "4:99"}));
    EXPECT_EQ(one("SELECT count(*), count(DISTINCT o) FROM " + named("checked")), "97|97");
    EXPECT_EQ(letters_.given_back(), 1U);
}

TEST_F(DatabaseDeadLetters, ARefusedLastVersionLeavesTheGoodOneBeforeIt) {
    run("CREATE TABLE " + named("state") + " (id int PRIMARY KEY, v text CHECK (v NOT LIKE 'bad%')); INSERT INTO " + named("state") + " VALUES (5, 'old')");
    auto sink = make_sink("state", kUpsert, &letters_);
    ASSERT_TRUE(sink->open(four_));
    const auto version = [](int id, const char* v) { return "{\"id\":" + std::to_string(id) + ",\"v\":\"" + v + "\"}"; };
    hand(*sink, four_, 0, {version(1, "a"), version(2, "b"), version(1, "bad0"),  // the earlier one stands
                           version(3, "bad1"), version(3, "c"),                   // never seen by PostgreSQL
                           version(4, "d"), version(4, "bad2"), version(4, "bad3"), version(5, "bad4"), version(2, "e")});
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << letters_.failure();
    EXPECT_EQ(rows("SELECT id, v FROM " + named("state") + " ORDER BY id"), (Lines{"1|a", "2|e", "3|c", "4|d", "5|old"}));
    EXPECT_EQ(letters_.calls(), (Lines{"4:2 4:7 4:8", "4:6"}));
    EXPECT_EQ(position(4), "10");
}

TEST_F(DatabaseDeadLetters, WhatIsNoDeadLetterEndsTheTableBeforeIt) {
    make_checked();
    auto sink = make_sink("checked", kChecked, &letters_);
    letters_.accepts = false;
    ASSERT_TRUE(sink->open(four_));
    ASSERT_TRUE(sink->open(five_));
    hand(*sink, four_, 0, {R"({"x":0})", R"({"x":1})", R"({"x":-1})", R"({"x":3})", "no JSON", R"({"x":5})"});
    serve_until(*sink, [&] { return letters_.durable_below(4) == 2; });
    EXPECT_EQ(rows("SELECT x FROM " + named("checked") + " ORDER BY o"), (Lines{"0", "1"}));
    EXPECT_EQ(position(4), "2");
    // Nothing is written any more, nothing fails, nobody waits, and the batches come home.
    EXPECT_EQ(hand(*sink, four_, 6, {R"({"x":6})"}), Kind::held);
    EXPECT_EQ(hand(*sink, five_, 0, {R"({"x":7})"}), Kind::held);
    EXPECT_EQ(sink->flush().kind, Kind::durable);
    EXPECT_EQ(one("SELECT count(*) FROM " + named("checked")), "2");
    EXPECT_EQ(letters_.failure(), "");
    sink.reset();
    EXPECT_EQ(letters_.given_back(), 3U);
}

TEST_F(DatabaseDeadLetters, APartitionThatLeavesMeanwhileStopsNoOther) {
    make_checked();
    auto sink = make_sink("checked", kChecked, &letters_);
    letters_.accepts = false;
    letters_.meanwhile = [&] { four_->revoked = true; };
    ASSERT_TRUE(sink->open(four_));
    ASSERT_TRUE(sink->open(five_));
    hand(*sink, four_, 0, {R"({"x":0})", R"({"x":-1})"});
    for (int i = 0; i < 500 && letters_.calls().empty(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    hand(*sink, five_, 0, {R"({"x":7})"});
    ASSERT_EQ(flush(*sink).kind, Kind::durable);
    sink->close(*four_);
    EXPECT_EQ(letters_.durable_below(5), 1);
    EXPECT_EQ(letters_.durable_below(4), 0);
    EXPECT_EQ(rows("SELECT x FROM " + named("checked")), Lines{"7"});
    EXPECT_EQ(letters_.given_back(), 2U);
}

TEST_F(DatabaseDeadLetters, NoLockIsHeldWhileDeadLettersAreWritten) {
    make_checked();
    auto sink = make_sink("checked", kChecked, &letters_);
    std::atomic<int> seen{0};
    std::string locks;
    letters_.meanwhile = [&] {
        locks = one("SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid() AND relation IN ('" + named("checked") + "'::regclass, '" +
                    named("fetcher_positions") + "'::regclass)");
        seen++;
    };
    ASSERT_TRUE(sink->open(four_));
    hand(*sink, four_, 0, {R"({"x":0})", R"({"x":-1})", R"({"x":2})"});
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << letters_.failure();
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(locks, "0");
}

TEST_F(DatabaseDeadLetters, AConnectionThatBreaksInBetweenTellsNothingTwice) {
    make_checked();
    auto sink = make_sink("checked", (R"({"columns": {"x": "/x", "o": "$offset"}, "db_dsn": ")" + url_ + "?application_name=" + schema_ + "\"}").c_str(), &letters_);
    letters_.meanwhile = [&] { run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '" + schema_ + "'"); };
    ASSERT_TRUE(sink->open(four_));
    hand(*sink, four_, 0, {R"({"x":0})", R"({"x":-1})", R"({"x":2})", "no JSON"});
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << letters_.failure();
    EXPECT_EQ(letters_.calls(), (Lines{"4:3", "4:1"}));
    EXPECT_EQ(rows("SELECT x FROM " + named("checked") + " ORDER BY o"), (Lines{"0", "2"}));
}

TEST_F(DatabaseDeadLetters, RowsThatAreInTheTableAlreadyBecomeNone) {
    run("CREATE TABLE " + named("orders") + " (o bigint PRIMARY KEY)");
    auto sink = make_sink("orders", (R"({"columns": {"o": "$offset"}, "workers": 1, "db_dsn": ")" + url_ + "?application_name=" + schema_ + "\"}").c_str(), &letters_);
    ASSERT_TRUE(sink->open(four_));
    hand(*sink, four_, 0, {"a"});
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << letters_.failure();
    // As a COMMIT leaves it whose answer was lost.
    run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '" + schema_ + "'; UPDATE " + named("fetcher_positions") +
        " SET next = 3; INSERT INTO " + named("orders") + " VALUES (1), (2)");
    hand(*sink, four_, 1, {"b", "c"});
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << letters_.failure();  // before more comes: the lost one ended there
    hand(*sink, four_, 3, {"d"});
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << letters_.failure();
    EXPECT_EQ(letters_.calls(), Lines{});
    EXPECT_EQ(letters_.durable_below(4), 4);
    EXPECT_EQ(one("SELECT count(*) FROM " + named("orders")), "4");
}

TEST_F(DatabaseDeadLetters, NorRowsThatAnotherCommitsWhileRefusedOnesAreLookedFor) {
    run("CREATE TABLE " + named("orders") + " (x int CHECK (x >= 0), o bigint PRIMARY KEY)");
    auto sink = make_sink("orders", kChecked, &letters_);
    ASSERT_TRUE(sink->open(four_));
    // The last transaction of a process that was killed, to which the first record was a dead letter.
    run("BEGIN; INSERT INTO " + named("orders") + " VALUES (1, 1), (2, 2); INSERT INTO " + named("fetcher_positions") +
        " (target, consumer_group, topic, partition, next, topic_id) VALUES ('" + named("orders") + "', 'group', 'topic', 4, 3, 'topic-id-1')");
    hand(*sink, four_, 0, {R"({"x":-1})", R"({"x":1})", R"({"x":2})", R"({"x":3})"});
    serve_until(*sink, [&] { return one("SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))") == "1"; });
    run("COMMIT");
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << letters_.failure();
    EXPECT_EQ(letters_.calls(), Lines{});
    EXPECT_EQ(rows("SELECT x FROM " + named("orders") + " ORDER BY o"), (Lines{"1", "2", "3"}));
    EXPECT_EQ(position(4), "4");
}

TEST_F(DatabaseDeadLetters, BatchesWaitWhileTheTableIsLockedAndAllArrive) {
    make_checked();
    auto sink = make_sink("checked", R"({"columns": {"x": "/x", "o": "$offset"}, "workers": 1, "max_batch_records": 10})", &letters_);
    ASSERT_TRUE(sink->open(four_));
    ASSERT_TRUE(sink->open(five_));
    run("BEGIN; LOCK TABLE " + named("checked"));
    for (int n = 0; n < 4; n++) EXPECT_EQ(hand(*sink, four_, n * 10, numbers(n * 10, n * 10 + 10)), Kind::held);
    EXPECT_EQ(hand(*sink, five_, 0, numbers(0, 10)), Kind::held);
    EXPECT_EQ(letters_.given_back(), 0U);
    // A partition that leaves takes along what waits and not what is on its way.
    five_->revoked = true;
    sink->close(*five_);
    EXPECT_EQ(letters_.given_back(), 1U);
    run("COMMIT");
    serve_until(*sink, [&] { return letters_.durable_below(4) == 40; });
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << letters_.failure();
    EXPECT_EQ(one("SELECT count(*), count(DISTINCT o) FROM " + named("checked")), "40|40");
    EXPECT_EQ(letters_.given_back(), 5U);
}

}  // namespace
}  // namespace fetcher
