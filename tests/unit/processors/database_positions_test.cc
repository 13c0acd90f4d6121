// What database_sync keeps in fetcher_positions: whose a row is, and what follows when it is not where it was left.
#include <chrono>
#include <thread>

#include "database_world.h"

namespace fetcher {
namespace {

using Kind = Outcome::Kind;
using Lines = std::vector<std::string>;

class DatabasePositions : public DatabaseWorld {
  protected:
    std::string failure() {
        for (int i = 0; i < 3000 && !acks_.failure(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        return acks_.failure() ? acks_.failure()->reason : "";
    }
    std::shared_ptr<Assignment> of_topic(const std::string& id, int32_t partition = 4) { return make_assignment(partition, "group", id); }
    Lines positions() { return rows("SELECT topic_id, next FROM " + named("fetcher_positions") + " ORDER BY topic_id, next"); }
    std::string values() { return one("SELECT string_agg(value, '' ORDER BY value) FROM " + named("messages")); }
    // Where the engine is told that the sink stands: topic id and offset.
    static std::string opened(DatabaseSync& sink, const std::shared_ptr<Assignment>& assignment) {
        const auto position = sink.open(assignment);
        if (!position) return position.error().reason;
        return *position ? (*position)->topic_id + " " + std::to_string((*position)->next_offset) : "none";
    }
    void write_and_close(DatabaseSync& sink, const std::shared_ptr<Assignment>& assignment, int64_t first_offset, const std::vector<TestRecord>& records) {
        write(sink, assignment, first_offset, records);
        EXPECT_EQ(flush(sink).kind, Kind::durable);
        assignment->revoked = true;
        sink.close(*assignment);
    }
};

TEST_F(DatabasePositions, TopicsOfOneNameInTwoClustersKeepTheirOwn) {
    auto here = make_sink("messages"), there = make_sink("messages");
    const auto a = of_topic("A"), b = of_topic("B");
    EXPECT_EQ(opened(*here, a), "none");
    write(*here, a, 0, {{"a"}, {"b"}});
    EXPECT_EQ(flush(*here).kind, Kind::durable);
    EXPECT_EQ(opened(*there, b), "A 2");  // another id than its own: the engine begins at the first record
    write(*there, b, 0, {{"x"}});
    EXPECT_EQ(flush(*there).kind, Kind::durable);
    write_and_close(*here, a, 2, {{"c"}});
    write_and_close(*there, b, 1, {{"y"}, {"z"}});
    EXPECT_EQ(positions(), (Lines{"A|3", "B|3"}));
    EXPECT_EQ(opened(*here, of_topic("A")), "A 3");
    EXPECT_EQ(opened(*there, of_topic("B")), "B 3");
    EXPECT_EQ(values(), "abcxyz");
}

TEST_F(DatabasePositions, ATopicMadeAnewBeginsWithoutARowAlsoWhereAnAnswerWasLost) {
    auto sink = make_sink("messages");
    const auto old = of_topic("old");
    sink->open(old);
    write_and_close(*sink, old, 0, {{"a"}, {"b"}});
    const auto fresh = of_topic("new");
    EXPECT_EQ(opened(*sink, fresh), "old 2");
    // As our own COMMIT would have left it whose answer never came: as many records as the old topic had.
    run("INSERT INTO " + named("fetcher_positions") + " (target, consumer_group, topic, partition, next, topic_id) SELECT target, consumer_group, topic, partition, 2, 'new' FROM " +
        named("fetcher_positions") + "; INSERT INTO " + named("messages") + " (topic, partition, \"offset\", value) VALUES ('topic', 4, 0, 'c'), ('topic', 4, 1, 'd')");
    write(*sink, fresh, 0, {{"c"}, {"d"}, {"e"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(values(), "abcde");
    EXPECT_EQ(positions(), (Lines{"new|3", "old|2"}));
}

TEST_F(DatabasePositions, WithoutATopicIdTheRowMovedLastCountsAndAnIdIsAddedLater) {
    auto sink = make_sink("messages");
    const auto nameless = of_topic("");
    EXPECT_EQ(opened(*sink, nameless), "none");
    write_and_close(*sink, nameless, 0, {{"a"}});
    const auto named_one = of_topic("A");
    EXPECT_EQ(opened(*sink, named_one), "A 1");
    write_and_close(*sink, named_one, 1, {{"b"}});
    EXPECT_EQ(positions(), (Lines{"A|2"}));
    const auto nameless_again = of_topic("");
    EXPECT_EQ(opened(*sink, nameless_again), "A 2");
    write_and_close(*sink, nameless_again, 2, {{"c"}});
    EXPECT_EQ(positions(), (Lines{"A|3"}));
    EXPECT_EQ(values(), "abc");
}

TEST_F(DatabasePositions, TheKeyOfATableOfAnEarlierVersionIsRenewed) {
    run("CREATE TABLE " + named("fetcher_positions") +
        " (target text NOT NULL, consumer_group text NOT NULL, topic text NOT NULL, partition integer NOT NULL, next bigint NOT NULL, topic_id text NOT NULL "
        "DEFAULT '', updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (target, consumer_group, topic, partition)); INSERT INTO " +
        named("fetcher_positions") + " VALUES ('" + named("messages") + "', 'group', 'topic', 4, 7, 'A')");
    auto sink = make_sink("messages");
    EXPECT_EQ(opened(*sink, of_topic("A")), "A 7");
    auto other = make_sink("messages");
    const auto b = of_topic("B");
    EXPECT_EQ(opened(*other, b), "A 7");
    write_and_close(*other, b, 0, {{"x"}});
    EXPECT_EQ(positions(), (Lines{"A|7", "B|1"}));
}

// With the position that it is of: where another version has moved the row alone, it is not known.
TEST_F(DatabasePositions, TheLeaderEpochIsKeptWithThePositionThatItIsOf) {
    run("CREATE TABLE " + named("fetcher_positions") +
        " (target text NOT NULL, consumer_group text NOT NULL, topic text NOT NULL, partition integer NOT NULL, next bigint NOT NULL, topic_id text NOT NULL "
        "DEFAULT '', updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (target, consumer_group, topic, partition, topic_id)); INSERT INTO " +
        named("fetcher_positions") + " VALUES ('" + named("messages") + "', 'group', 'topic', 4, 0, 'A')");
    auto sink = make_sink("messages");
    const auto first = of_topic("A");
    EXPECT_EQ(sink->open(first).value()->last, LeaderEpoch{}) << "of an earlier version, to which the column is added";
    Batch batch;
    batch.begin(first, 0);
    batch.epochs.starts = {{0, 3}};
    batch.add(0, 1, "a");
    batch.add(1, 1, "b");
    batch.set_next_offset(5);
    EXPECT_EQ(sink->write(batch, 0).kind, Kind::accepted);
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    first->revoked = true;
    sink->close(*first);
    const auto second = of_topic("A");
    EXPECT_EQ(sink->open(second).value()->last, (LeaderEpoch{3, 2}));
    second->revoked = true;
    sink->close(*second);
    run("UPDATE " + named("fetcher_positions") + " SET next = 7");
    EXPECT_EQ(sink->open(of_topic("A")).value()->last, LeaderEpoch{});
}

// The positions that come behind the cut are lower than the row's, and one may be the very same.
TEST_F(DatabasePositions, WhereTheLogWasCutTheRowGoesBackBeforeAnythingIsWritten) {
    auto sink = make_sink("messages");
    const auto first = of_topic("A");
    sink->open(first);
    write_and_close(*sink, first, 0, {{"a"}, {"b"}, {"c"}, {"d"}});
    const auto again = of_topic("A");
    again->cut = LogCut{2, 0};
    EXPECT_EQ(opened(*sink, again), "A 2");
    EXPECT_EQ(positions(), (Lines{"A|2"}));
    write_and_close(*sink, again, 2, {{"x"}, {"y"}});
    EXPECT_EQ(positions(), (Lines{"A|4"}));
    EXPECT_EQ(values(), "abcdxy");
    const auto below = of_topic("A");
    below->cut = LogCut{4, 0};
    EXPECT_EQ(opened(*sink, below), "A 4");
}

TEST_F(DatabasePositions, WhereTheColumnForTheEpochMayNotBeAddedItIsDoneWithout) {
    run("CREATE TABLE " + named("fetcher_positions") +
        " (target text NOT NULL, consumer_group text NOT NULL, topic text NOT NULL, partition integer NOT NULL, next bigint NOT NULL, topic_id text NOT NULL "
        "DEFAULT '', updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (target, consumer_group, topic, partition, topic_id)); CREATE TABLE " +
        named("messages") + " (value text)");
    const std::string role = schema_ + "_writer", in_schema = " ON ALL TABLES IN SCHEMA " + schema_;
    run("CREATE ROLE " + role + " LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA " + schema_ + " TO " + role + "; GRANT SELECT, INSERT, UPDATE" + in_schema + " TO " + role);
    auto sink = make_sink("messages", (R"({"columns": {"value": "$value"}, "db_dsn": "postgresql://)" + role + ":secret" + url_.substr(url_.find('@')) + "\"}").c_str());
    const auto first = of_topic("A");
    ASSERT_EQ(opened(*sink, first), "none");
    write_and_close(*sink, first, 0, {{"a"}, {"b"}});
    EXPECT_EQ(opened(*sink, of_topic("A")), "A 2");
    EXPECT_EQ(positions(), (Lines{"A|2"}));
    sink.reset();
    run("REVOKE ALL" + in_schema + " FROM " + role + "; REVOKE ALL ON SCHEMA " + schema_ + " FROM " + role + "; DROP ROLE " + role);
}

// Whoever writes there would have to wait behind us, for as long as we wait.
TEST_F(DatabasePositions, WhereTheTableIsInUseTheColumnForTheEpochIsAddedAnotherTime) {
    run("CREATE TABLE " + named("fetcher_positions") +
        " (target text NOT NULL, consumer_group text NOT NULL, topic text NOT NULL, partition integer NOT NULL, next bigint NOT NULL, topic_id text NOT NULL "
        "DEFAULT '', updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (target, consumer_group, topic, partition, topic_id)); INSERT INTO " +
        named("fetcher_positions") + " VALUES ('" + named("messages") + "', 'group', 'topic', 4, 7, 'A')");
    const auto columns = [&] {
        return one("SELECT count(*) FROM pg_attribute WHERE attname = 'leader_epoch' AND attrelid = '" + named("fetcher_positions") + "'::regclass");
    };
    run("BEGIN; LOCK TABLE " + named("fetcher_positions") + " IN ROW EXCLUSIVE MODE");  // as a member of an earlier version has it that writes
    auto sink = make_sink("messages");
    const auto first = of_topic("A");
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(opened(*sink, first), "A 7");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5)) << "for other locks it waits 5 s, for this one 0.2 s";
    write_and_close(*sink, first, 7, {{"a"}, {"b"}});
    EXPECT_EQ(columns(), "0");
    run("COMMIT");
    EXPECT_EQ(positions(), (Lines{"A|9"}));
    auto later = make_sink("messages");
    EXPECT_EQ(opened(*later, of_topic("A")), "A 9");
    EXPECT_EQ(columns(), "1");
}

TEST_F(DatabasePositions, TheLastTransactionOfAKilledProcessMayEndAfterOurStart) {
    auto before = make_sink("messages");
    const auto theirs = of_topic("A");
    before->open(theirs);
    write_and_close(*before, theirs, 0, {{"a"}});
    auto sink = make_sink("messages", R"({"workers": 1})");
    const auto four = of_topic("A"), five = of_topic("A", 5);
    EXPECT_EQ(opened(*sink, four), "A 1");
    EXPECT_EQ(opened(*sink, five), "none");
    run("UPDATE " + named("fetcher_positions") + " SET next = 3; INSERT INTO " + named("messages") + " (topic, partition, \"offset\", value) VALUES ('topic', 4, 1, 'b'), ('topic', 4, 2, 'c')");
    write(*sink, four, 1, {{"b"}, {"c"}, {"d"}});
    write(*sink, five, 0, {{"x"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(values(), "abcdx");
    EXPECT_EQ(acks_.durable_below(4), 4);
    EXPECT_EQ(acks_.durable_below(5), 1);
    EXPECT_FALSE(acks_.failure());
}

TEST_F(DatabasePositions, ATransactionThatHadBeenCommittedBeforeTheConnectionBrokeIsNotRepeated) {
    auto sink = make_sink("messages", ("{\"workers\": 1, \"db_dsn\": \"" + url_ + "?application_name=" + schema_ + "\"}").c_str());
    const auto four = of_topic("A");
    sink->open(four);
    write(*sink, four, 0, {{"a"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '" + schema_ + "'; UPDATE " + named("fetcher_positions") +
        " SET next = 3; INSERT INTO " + named("messages") + " (topic, partition, \"offset\", value) VALUES ('topic', 4, 1, 'b'), ('topic', 4, 2, 'c')");
    write(*sink, four, 1, {{"b"}, {"c"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(acks_.durable_below(4), 3);
    write(*sink, four, 3, {{"d"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(values(), "abcd");
}

// A unique index refuses what is in the table already, before the statement that looks at the positions is reached.
TEST_F(DatabasePositions, RowsOfOursThatAUniqueIndexRefusesAreNotTakenForBadOnes) {
    run("CREATE TABLE " + named("orders") + " (id bigint PRIMARY KEY)");
    auto sink = make_sink("orders", (R"({"columns": {"id": "$offset"}, "workers": 1, "db_dsn": ")" + url_ + "?application_name=" + schema_ + "\"}").c_str());
    const auto four = of_topic("A");
    sink->open(four);
    write(*sink, four, 0, {{"a"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    // As a COMMIT leaves it whose answer was lost.
    run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '" + schema_ + "'; UPDATE " + named("fetcher_positions") +
        " SET next = 3; INSERT INTO " + named("orders") + " VALUES (1), (2)");
    write(*sink, four, 1, {{"b"}, {"c"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable) << failure();
    EXPECT_EQ(acks_.durable_below(4), 3);
    write(*sink, four, 3, {{"d"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable) << failure();
    EXPECT_EQ(one("SELECT string_agg(id::text, ' ' ORDER BY id) FROM " + named("orders")), "0 1 2 3");
    EXPECT_EQ(positions(), (Lines{"A|4"}));
}

TEST_F(DatabasePositions, NeitherAreThoseOfAnotherProcess) {
    run("CREATE TABLE " + named("orders") + " (id bigint PRIMARY KEY)");
    auto sink = make_sink("orders", R"({"columns": {"id": "$offset"}})");
    const auto four = of_topic("A");
    sink->open(four);
    // The last transaction of a process that was killed.
    run("INSERT INTO " + named("orders") + " VALUES (0); INSERT INTO " + named("fetcher_positions") +
        " (target, consumer_group, topic, partition, next, topic_id) VALUES ('" + named("orders") + "', 'group', 'topic', 4, 1, 'A')");
    write(*sink, four, 0, {{"a"}, {"b"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable) << failure();
    EXPECT_EQ(acks_.durable_below(4), 2);
    // One that has taken over while this one was frozen.
    run("UPDATE " + named("fetcher_positions") + " SET next = 4; INSERT INTO " + named("orders") + " VALUES (2), (3)");
    write(*sink, four, 2, {{"c"}, {"d"}});
    EXPECT_NE(failure().find("partition 4: another process"), std::string::npos) << failure();
    EXPECT_EQ(acks_.durable_below(4), 2);
}

TEST_F(DatabasePositions, ARowThatIsThereThoughNobodyMovedThePositionIsRefused) {
    run("CREATE TABLE " + named("orders") + " (id bigint PRIMARY KEY); INSERT INTO " + named("orders") + " VALUES (2)");
    auto sink = make_sink("orders", R"({"columns": {"id": "$offset"}})");
    const auto four = of_topic("A");
    sink->open(four);
    write(*sink, four, 0, {{"a"}, {"b"}, {"c"}});
    EXPECT_NE(failure().find("offset 2 was refused by PostgreSQL: duplicate key"), std::string::npos) << failure();
    EXPECT_EQ(acks_.durable_below(4), 2);
}

TEST_F(DatabasePositions, WhatOthersHaveWrittenIsNotAcknowledgedForThem) {
    auto sink = make_sink("messages");
    const auto four = of_topic("A");
    sink->open(four);
    write(*sink, four, 0, {{"a"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    run("UPDATE " + named("fetcher_positions") + " SET next = 3");
    write(*sink, four, 1, {{"b"}, {"c"}});
    EXPECT_EQ(sink->flush().kind, Kind::retry);  // the group may tell it yet that the partition is another's
    EXPECT_NE(failure().find("partition 4: another process"), std::string::npos) << failure();
    EXPECT_EQ(acks_.durable_below(4), 1);
    EXPECT_EQ(values(), "a");
}

TEST_F(DatabasePositions, NeitherIfTheConnectionHasBrokenMeanwhile) {
    auto sink = make_sink("messages", ("{\"workers\": 1, \"db_dsn\": \"" + url_ + "?application_name=" + schema_ + "\"}").c_str());
    const auto four = of_topic("A");
    sink->open(four);
    write(*sink, four, 0, {{"a"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    // Not where our own transaction would have taken it, had its answer been lost.
    run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '" + schema_ + "'; UPDATE " + named("fetcher_positions") + " SET next = 2");
    write(*sink, four, 1, {{"b"}, {"c"}});
    EXPECT_NE(failure().find("partition 4: another process"), std::string::npos) << failure();
    EXPECT_EQ(acks_.durable_below(4), 1);
    EXPECT_EQ(values(), "a");
}

TEST_F(DatabasePositions, AKilledProcessMayHaveWrittenMoreThanOurFirstBlock) {
    auto sink = make_sink("messages");
    const auto four = of_topic("A");
    EXPECT_EQ(opened(*sink, four), "none");
    run("INSERT INTO " + named("fetcher_positions") + " (target, consumer_group, topic, partition, next, topic_id) VALUES ('" + named("messages") +
        "', 'group', 'topic', 4, 3, 'A'); INSERT INTO " + named("messages") +
        " (topic, partition, \"offset\", value) VALUES ('topic', 4, 0, 'a'), ('topic', 4, 1, 'b'), ('topic', 4, 2, 'c')");
    write(*sink, four, 0, {{"a"}, {"b"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(acks_.durable_below(4), 2);
    write(*sink, four, 2, {{"c"}, {"d"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(acks_.durable_below(4), 4);
    EXPECT_EQ(values(), "abcd");
    EXPECT_FALSE(acks_.failure());
}

TEST_F(DatabasePositions, AReconnectShowsThatTheDatabaseHasLostTransactions) {
    auto sink = make_sink("messages", ("{\"workers\": 1, \"db_dsn\": \"" + url_ + "?application_name=" + schema_ + "\"}").c_str());
    const auto four = of_topic("A"), five = of_topic("A", 5);
    sink->open(four);
    sink->open(five);
    write(*sink, four, 0, {{"a"}, {"b"}});
    write(*sink, five, 0, {{"x"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '" + schema_ + "'; DELETE FROM " + named("fetcher_positions") + " WHERE partition = 5");
    write(*sink, four, 2, {{"c"}});  // nothing for the partition that lost
    EXPECT_NE(failure().find("partition 5: its position in fetcher_positions is gone"), std::string::npos) << failure();
    EXPECT_NE(failure().find("starts again at the offset that the group has committed"), std::string::npos) << failure();
}

}  // namespace
}  // namespace fetcher
