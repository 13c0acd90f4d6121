#include "processors/database_sync.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "database_world.h"
#include "processors/database_dsn.h"

namespace fetcher {
namespace {

using Kind = Outcome::Kind;
using Lines = std::vector<std::string>;

class DatabaseSyncTest : public DatabaseWorld {
  protected:
    std::string position() { return one("SELECT next FROM " + named("fetcher_positions") + " WHERE partition = 4"); }
    void await_failure() {
        for (int i = 0; i < 3000 && !acks_.failure(); i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::string failure() const { return acks_.failure() ? acks_.failure()->reason : ""; }
    std::shared_ptr<Assignment> four_ = make_assignment(4);
};

TEST_F(DatabaseSyncTest, TheStandardTableHoldsEverythingOfARecord) {
    auto sink = make_sink("messages");
    const auto opened = sink->open(four_);
    ASSERT_TRUE(opened) << opened.error().reason;
    EXPECT_FALSE(*opened);
    EXPECT_EQ(write(*sink, four_, 10, {{"v'\"\\é", "k", {{"h", "x"}, {"h", std::nullopt}, {"b", std::string("\0", 1)}}}, {std::nullopt}, {""}}).kind, Kind::accepted);
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(acks_.durable_below(4), 13);
    EXPECT_EQ(position(), "13");
    EXPECT_EQ(rows("SELECT topic, partition, \"offset\", timestamp AT TIME ZONE 'UTC', key, headers, value FROM " + named("messages") + " ORDER BY \"offset\""),
              (Lines{R"(topic|4|10|2025-01-31 12:00:00.123|k|[{"name": "h", "value": "x"}, {"name": "h", "value": null}, {"name": "b", "value": {"base64": "AA=="}}]|v'"\é)",
                     "topic|4|11|2025-01-31 12:00:00.123|~|~|~", "topic|4|12|2025-01-31 12:00:00.123|~|~|"}));
}

TEST_F(DatabaseSyncTest, GoesOnFromItsPosition) {
    auto sink = make_sink("messages");
    ASSERT_TRUE(sink->open(four_));
    write(*sink, four_, 0, {{"a"}, {"b"}});
    flush(*sink);
    sink->close(*four_);
    const auto again = make_assignment(4);
    const auto position = sink->open(again);
    ASSERT_TRUE(position && *position);
    EXPECT_EQ((*position)->next_offset, 2);
    EXPECT_EQ((*position)->topic_id, "topic-id-1");
    EXPECT_TRUE((*position)->authoritative);
    EXPECT_EQ(write(*sink, again, 2, {{"c"}}).kind, Kind::accepted);
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(one("SELECT string_agg(value, '' ORDER BY \"offset\") FROM " + named("messages")), "abc");
    // Nothing but a gap: the position alone.
    Batch gap;
    gap.begin(again, 3);
    gap.set_next_offset(9);
    EXPECT_EQ(sink->write(gap, 0).kind, Kind::accepted);
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(this->position(), "9");
}

TEST_F(DatabaseSyncTest, ABatchOfManyBlocksComesWholeAndInOrder) {
    auto sink = make_sink("messages", R"({"max_batch_records": 7, "workers": 1})");
    ASSERT_TRUE(sink->open(four_));
    std::vector<TestRecord> records;
    for (int i = 0; i < 100; i++) records.push_back({std::to_string(i)});
    EXPECT_EQ(write(*sink, four_, 0, records).kind, Kind::accepted);
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(one("SELECT count(*) = 100 AND bool_and(value = \"offset\"::text) FROM " + named("messages")), "t");
    EXPECT_EQ(position(), "100");
}

TEST_F(DatabaseSyncTest, ValuesTakeTheTypesOfTheTable) {
    run("CREATE DOMAIN " + named("amount") + " AS numeric; CREATE TYPE " + named("mood") + " AS ENUM ('ok', 'bad'); CREATE TABLE " + named("typed") +
        " (b bool, i2 int2, i4 int4, i8 int8, f4 real, f8 double precision, n " + named("amount") + ", t text, v varchar(9), c char(3), j json, jb jsonb, y "
        "bytea, u uuid, d date, ts timestamp, tz timestamptz, e " + named("mood") + ", ms timestamptz, o bigint, p int, k text, w text)");
    auto sink = make_sink("typed", R"({"columns": {"b": "/b", "i2": "/i", "i4": "/i", "i8": "/big", "f4": "/f", "f8": "/f", "n": "/n", "t": "/t", "v": "/t",
        "c": "/t", "j": "/o", "jb": "/t", "y": "/t", "u": "/u", "d": "/time", "ts": "/time", "tz": "/time", "e": "/e", "ms": "/ms", "o": "$offset",
        "p": "$partition", "k": "$key/id", "w": "/n"}})");
    const auto opened = sink->open(four_);
    ASSERT_TRUE(opened) << opened.error().reason;
    EXPECT_EQ(write(*sink, four_, 7, {{R"({"b":true,"i":-12,"big":9007199254740993,"f":-1.5e3,"n":12345678901234567890.0100,"t":"q\"é","o":{"a":[1]},
        "u":"6f9619ff-8b86-d011-b42d-00cf4fc964ff","time":"2025-01-31T23:30:00.25-02:00","e":"bad","ms":1738324800123})", R"({"id":"K"})"}, {"{}"}}).kind, Kind::accepted);
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << failure();
    EXPECT_EQ(rows("SET TIME ZONE 'UTC'; SELECT * FROM " + named("typed") + " ORDER BY o").front(),
              "t|-12|-12|9007199254740993|-1500|-1500|12345678901234567890.0100|q\"é|q\"é|q\"é|{\"a\":[1]}|\"q\\\"é\"|\\x7122c3a9|"
              "6f9619ff-8b86-d011-b42d-00cf4fc964ff|2025-01-31|2025-01-31 23:30:00.25|2025-02-01 01:30:00.25+00|bad|2025-01-31 12:00:00.123+00|7|4|K|"
              "12345678901234567890.0100");
    EXPECT_EQ(rows("SELECT b, n, t, jb, k FROM " + named("typed") + " ORDER BY o").back(), "~|~|~|~|~");
}

TEST_F(DatabaseSyncTest, NumericKeepsEveryDigit) {
    run("CREATE TABLE " + named("numbers") + " (n numeric, was text, o bigint)");
    auto sink = make_sink("numbers", R"({"columns": {"n": "$value", "was": "$value", "o": "$offset"}})");
    ASSERT_TRUE(sink->open(four_));
    const std::vector<std::string> numbers = {"0", "-0.0", "1", "-1", "9999", "10000", "10001", "0.0001", "0.00001", "-0.000123456789", "123456789012345678901234567890",
                                              "100000000", "1.10", "1e5", "1.5E-7", "-12345.678e3", "0.1e-20", "7e40", "NaN", "00012.500",
                                              "1234567890123456", "12345678901234567", "-9999999999999999.9999999999999999", "0.0000000000000001",
                                              "0.00000000000000001", "0000.0000", "10000.0001", "120000", "1.", "-0", "99990000.00009999"};
    std::vector<TestRecord> records;
    for (const auto& number : numbers) records.push_back({number});
    EXPECT_EQ(write(*sink, four_, 0, records).kind, Kind::accepted);
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << failure();
    EXPECT_EQ(rows("SELECT was, n, was::numeric FROM " + named("numbers") + " WHERE n::text IS DISTINCT FROM was::numeric::text"), Lines{});
    EXPECT_EQ(one("SELECT count(*) FROM " + named("numbers")), std::to_string(numbers.size()));
}

TEST_F(DatabaseSyncTest, WhatIsNoValueOfItsColumnIsABadRecordAndThoseBeforeItLand) {
    struct Case {
        const char *type, *value;
    };
    int n = 0;
    for (const auto& [type, value] : {Case{"int4", "2147483648"}, {"int2", "1.5"}, {"uuid", "6f9619ff"}, {"date", "\"2025-02-30\""}, {"bool", "2"},
                                      {"numeric", "\"1.2.3\""}, {"timestamptz", "\"now\""}, {"text", "\"a\\u0000b\""}, {"int8", "{}"}, {"text", "tru"}}) {
        const std::string table = "t" + std::to_string(n++);
        run("CREATE TABLE " + named(table) + " (x " + type + ", o bigint)");
        auto sink = make_sink(table, R"({"columns": {"x": "/x", "o": "$offset"}})");
        const auto assignment = make_assignment(4);
        ASSERT_TRUE(sink->open(assignment));
        const auto outcome = write(*sink, assignment, 0, {{"{}"}, {"{\"x\":null}"}, {"{\"x\":" + std::string(value) + "}"}, {"{}"}});
        EXPECT_EQ(outcome.kind, Kind::bad) << type << " " << value;
        ASSERT_EQ(outcome.bad.size(), 1u);
        EXPECT_EQ(outcome.bad.front().index, 2u);
        EXPECT_EQ(one("SELECT count(*) FROM " + named(table)), "2") << type << " " << value;
        EXPECT_EQ(one("SELECT next FROM " + named("fetcher_positions") + " WHERE target = '" + named(table) + "'"), "2");
    }
}

TEST_F(DatabaseSyncTest, TextThatPostgreSqlCannotHoldIsABadRecord) {
    for (const std::string& value : {std::string("\xff\xfe"), std::string("a\0b", 3)}) {
        auto sink = make_sink("messages");
        const auto assignment = make_assignment(value.size() == 3 ? 4 : 5);
        ASSERT_TRUE(sink->open(assignment));
        const auto outcome = write(*sink, assignment, 0, {{"good"}, {value}});
        EXPECT_EQ(outcome.kind, Kind::bad);
        EXPECT_NE(outcome.bad.front().why.find("bytea"), std::string::npos) << outcome.bad.front().why;
    }
    auto sink = make_sink("bytes", R"({"value_type": "bytea"})");
    ASSERT_TRUE(sink->open(four_));
    EXPECT_EQ(write(*sink, four_, 0, {{std::string("\0\xff", 2), std::string("\xfe\0", 2)}}).kind, Kind::accepted);
    EXPECT_EQ(flush(*sink).kind, Kind::durable);
    EXPECT_EQ(one("SELECT encode(value, 'hex') || encode(key, 'hex') FROM " + named("bytes")), "00fffe00");
}

TEST_F(DatabaseSyncTest, ARowThatPostgreSqlRefusesIsFoundAndThoseBeforeItLand) {
    run("CREATE TABLE " + named("checked") + " (x int CHECK (x <> 613), o bigint)");
    auto sink = make_sink("checked", R"({"columns": {"x": "/x", "o": "$offset"}, "workers": 1})");
    const auto five = make_assignment(5);
    ASSERT_TRUE(sink->open(four_));
    ASSERT_TRUE(sink->open(five));
    std::vector<TestRecord> records;
    for (int i = 0; i < 1000; i++) records.push_back({"{\"x\":" + std::to_string(i) + "}"});
    write(*sink, four_, 0, records);
    await_failure();
    EXPECT_NE(failure().find("partition 4 offset 613"), std::string::npos) << failure();
    EXPECT_NE(failure().find("violates check constraint"), std::string::npos) << failure();
    EXPECT_EQ(failure().find("Failing row"), std::string::npos) << failure();
    EXPECT_EQ(one("SELECT count(*) = 613 AND max(x) = 612 FROM " + named("checked")), "t");
    EXPECT_EQ(position(), "613");
    EXPECT_EQ(acks_.durable_below(4), 613);
    EXPECT_EQ(write(*sink, five, 0, {{"{}"}}).kind, Kind::fatal);
}

TEST_F(DatabaseSyncTest, ADeferredConstraintIsFoundToo) {
    run("CREATE TABLE " + named("parents") + " (id int PRIMARY KEY); INSERT INTO " + named("parents") + " VALUES (1); CREATE TABLE " + named("children") +
        " (id int REFERENCES " + named("parents") + " DEFERRABLE INITIALLY DEFERRED)");
    auto sink = make_sink("children", R"({"columns": {"id": "/id"}})");
    ASSERT_TRUE(sink->open(four_));
    write(*sink, four_, 0, {{R"({"id":1})"}, {R"({"id":2})"}, {R"({"id":1})"}});
    await_failure();
    EXPECT_NE(failure().find("offset 1 was refused"), std::string::npos) << failure();
    EXPECT_EQ(one("SELECT count(*) FROM " + named("children")), "1");
    EXPECT_EQ(position(), "1");
}

TEST_F(DatabaseSyncTest, UpsertKeepsTheLastOfEachKeyAndDeletes) {
    run("CREATE TABLE " + named("state") + " (id int PRIMARY KEY, v text)");
    auto sink = make_sink("state", R"({"columns": {"id": "$key/id", "v": "/v"}, "mode": "upsert", "key_columns": ["id"], "delete_on_null": true})");
    ASSERT_TRUE(sink->open(four_));
    write(*sink, four_, 0, {{R"({"v":"a"})", R"({"id":1})"}, {R"({"v":"b"})", R"({"id":2})"}, {R"({"v":"c"})", R"({"id":1})"}, {std::nullopt, R"({"id":3})"},
                            {R"({"v":"d"})", R"({"id":4})"}, {std::nullopt, R"({"id":4})"}});
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << failure();
    EXPECT_EQ(rows("SELECT id, v FROM " + named("state") + " ORDER BY id"), (Lines{"1|c", "2|b"}));
    write(*sink, four_, 6, {{std::nullopt, R"({"id":1})"}, {R"({"v":"e"})", R"({"id":2})"}, {R"({"v":"f"})", R"({"id":3})"}});
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << failure();
    EXPECT_EQ(rows("SELECT id, v FROM " + named("state") + " ORDER BY id"), (Lines{"2|e", "3|f"}));
    const auto outcome = write(*sink, four_, 9, {{R"({"v":"g"})", "{}"}});
    EXPECT_EQ(outcome.kind, Kind::bad);
    EXPECT_NE(outcome.bad.front().why.find("key column \"id\" is null"), std::string::npos) << outcome.bad.front().why;
}

TEST_F(DatabaseSyncTest, KeysThatAreEqualToPostgreSqlAloneAreOne) {
    run("CREATE TABLE " + named("state") + " (n numeric, c char(3), PRIMARY KEY (n, c), v text, o bigint)");
    auto sink = make_sink("state", R"({"columns": {"n": "$key/n", "c": "$key/c", "v": "/v", "o": "$offset"}, "mode": "upsert", "key_columns": ["n", "c"], "delete_on_null": true})");
    ASSERT_TRUE(sink->open(four_));
    const auto key = [](const char* n, const char* c) { return std::string("{\"n\":") + n + ",\"c\":\"" + c + "\"}"; };
    write(*sink, four_, 0, {{R"({"v":"a"})", key("1", "x")}, {R"({"v":"b"})", key("1.0", "x ")}, {R"({"v":"c"})", key("2", "y")}, {std::nullopt, key("2.00", "y")},
                            {std::nullopt, key("3", "z")}, {R"({"v":"d"})", key("3.0", "z ")}});
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << failure();
    EXPECT_EQ(rows("SELECT trim_scale(n), trim(c), v, o FROM " + named("state") + " ORDER BY n"), (Lines{"1|x|b|1", "3|z|d|5"}));
    write(*sink, four_, 6, {{std::nullopt, key("1.000", "x  ")}});
    ASSERT_EQ(flush(*sink).kind, Kind::durable) << failure();
    EXPECT_EQ(one("SELECT count(*) FROM " + named("state")), "1");
}

TEST_F(DatabaseSyncTest, AnUpsertWithARefusedRowKeepsItsOrder) {
    run("CREATE TABLE " + named("state") + " (id int PRIMARY KEY, v text CHECK (v <> 'bad'))");
    auto sink = make_sink("state", R"({"columns": {"id": "/id", "v": "/v"}, "mode": "upsert", "key_columns": ["id"]})");
    ASSERT_TRUE(sink->open(four_));
    write(*sink, four_, 0, {{R"({"id":1,"v":"a"})"}, {R"({"id":2,"v":"b"})"}, {R"({"id":1,"v":"c"})"}, {R"({"id":1,"v":"bad"})"}, {R"({"id":1,"v":"z"})"}});
    EXPECT_EQ(flush(*sink).kind, Kind::durable);  // of its key the last is good: PostgreSQL never sees the bad one
    EXPECT_EQ(rows("SELECT id, v FROM " + named("state") + " ORDER BY id"), (Lines{"1|z", "2|b"}));
    write(*sink, four_, 5, {{R"({"id":3,"v":"d"})"}, {R"({"id":3,"v":"e"})"}, {R"({"id":4,"v":"bad"})"}, {R"({"id":3,"v":"f"})"}});
    await_failure();
    EXPECT_NE(failure().find("offset 7"), std::string::npos) << failure();
    EXPECT_EQ(rows("SELECT id, v FROM " + named("state") + " ORDER BY id"), (Lines{"1|z", "2|b", "3|e"}));
}

TEST_F(DatabaseSyncTest, ASecondWriterNeverWritesARowTwice) {
    auto sink = make_sink("messages");
    ASSERT_TRUE(sink->open(four_));
    write(*sink, four_, 0, {{"a"}});
    flush(*sink);
    // Another process takes over, as the group may decide while this one is frozen.
    RecordingAcks others;
    auto other = make_sink("messages", "{}", &others);
    const auto theirs = make_assignment(4);
    ASSERT_TRUE(other->open(theirs));
    write(*other, theirs, 1, {{"b"}, {"c"}});
    flush(*other);
    // The first one wakes up with records that the other has written, and with some that it has not.
    write(*sink, four_, 1, {{"b"}, {"c"}, {"d"}});
    EXPECT_EQ(sink->flush().kind, Kind::retry);
    four_->revoked = true;
    for (int i = 0; i < 200 && flush(*sink).kind == Kind::retry; i++) {
    }
    write(*other, theirs, 3, {{"d"}});
    EXPECT_EQ(flush(*other).kind, Kind::durable);
    EXPECT_EQ(one("SELECT string_agg(value, '' ORDER BY \"offset\") FROM " + named("messages")), "abcd");
}

TEST_F(DatabaseSyncTest, AWriterWhosePartitionIsTakenButNotRevokedEndsWithAReason) {
    auto sink = make_sink("messages");
    ASSERT_TRUE(sink->open(four_));
    write(*sink, four_, 0, {{"a"}});
    flush(*sink);
    run("UPDATE " + named("fetcher_positions") + " SET next = 2");
    write(*sink, four_, 1, {{"b"}, {"c"}});
    EXPECT_EQ(sink->flush().kind, Kind::retry);  // the group may tell it yet
    await_failure();
    EXPECT_NE(failure().find("partition 4: another process"), std::string::npos) << failure();
    EXPECT_EQ(one("SELECT count(*) FROM " + named("messages")), "1");
}

TEST_F(DatabaseSyncTest, ADatabaseThatLostItsTailIsToldAtOnce) {
    auto sink = make_sink("messages");
    ASSERT_TRUE(sink->open(four_));
    write(*sink, four_, 0, {{"a"}, {"b"}});
    flush(*sink);
    run("UPDATE " + named("fetcher_positions") + " SET next = 1; DELETE FROM " + named("messages") + " WHERE \"offset\" = 1");
    write(*sink, four_, 2, {{"c"}});
    await_failure();
    EXPECT_NE(failure().find("has gone back"), std::string::npos) << failure();
    auto again = make_sink("messages");
    EXPECT_EQ((*again->open(make_assignment(4)))->next_offset, 1);
    EXPECT_EQ(one("SELECT count(*) FROM " + named("messages")), "1");
}

TEST_F(DatabaseSyncTest, SaysWhatToMend) {
    const auto reason = [&](const std::string& table, const char* more) {
        auto sink = make_sink(table, more);
        const auto opened = sink->open(make_assignment(1));
        EXPECT_FALSE(opened);
        EXPECT_EQ(opened.error().kind, ErrorKind::fatal);
        return opened.error().reason;
    };
    EXPECT_NE(reason("missing", R"({"create_table": false})").find("create_table"), std::string::npos);
    EXPECT_NE(reason("missing", R"({"columns": {"a": "/a"}})").find("create it"), std::string::npos);
    run("CREATE TABLE " + named("odd") + " (a point, g int GENERATED ALWAYS AS (1) STORED); CREATE UNLOGGED TABLE " + named("unlogged") + " (a int)");
    EXPECT_NE(reason("odd", R"({"columns": {"b": "/a"}})").find("no column \"b\""), std::string::npos);
    EXPECT_NE(reason("odd", R"({"columns": {"a": "/a"}})").find("of type point"), std::string::npos);
    EXPECT_NE(reason("odd", R"({"columns": {"g": "/a"}})").find("generated"), std::string::npos);
    EXPECT_NE(reason("unlogged", R"({"columns": {"a": "/a"}})").find("SET LOGGED"), std::string::npos);
    run("CREATE TABLE " + named("parts") + " (a int, b int) PARTITION BY RANGE (a); CREATE TABLE " + named("low") + " PARTITION OF " + named("parts") +
        " FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (b); CREATE UNLOGGED TABLE " + named("lowest") + " PARTITION OF " + named("low") + " FOR VALUES FROM (0) TO (10)");
    EXPECT_NE(reason("parts", R"({"columns": {"a": "/a", "b": "/b"}})").find("partition " + named("lowest") + " is unlogged"), std::string::npos);
    run("CREATE UNLOGGED TABLE " + named("fetcher_positions") + " (a int)");
    EXPECT_NE(reason("messages", "{}").find("fetcher_positions is unlogged"), std::string::npos);
    run("DROP TABLE " + named("fetcher_positions"));
    const auto wrong = DatabaseDsn::parse(url_)->keywords();
    auto dsn = "postgresql://" + wrong.at("user") + ":hunter2@" + wrong.at("host") + ":" + wrong.at("port") + "/" + wrong.at("dbname");
    const auto words = reason("t", ("{\"db_dsn\": \"" + dsn + "\"}").c_str());
    EXPECT_NE(words.find("password authentication failed"), std::string::npos) << words;
    EXPECT_NE(words.find("db_dsn"), std::string::npos) << words;
    EXPECT_EQ(words.find("hunter2"), std::string::npos) << words;
}

TEST_F(DatabaseSyncTest, WithoutAUniqueIndexAnUpsertSaysSo) {
    run("CREATE TABLE " + named("state") + " (id int, v text)");
    auto sink = make_sink("state", R"({"columns": {"id": "/id", "v": "/v"}, "mode": "upsert", "key_columns": ["id"]})");
    ASSERT_TRUE(sink->open(four_));
    write(*sink, four_, 0, {{R"({"id":1,"v":"a"})"}});
    await_failure();
    EXPECT_NE(failure().find("unique index"), std::string::npos) << failure();
}

TEST(DatabaseSyncWithoutServer, WaitsForAnUnreachableOne) {
    DatabaseSyncOptions options;
    options.db_dsn = "postgresql://u:p@127.0.0.1:1/d";
    DatabaseSync sink(options, {"consumer", "group", "topic"}, {});
    RecordingAcks acks;
    sink.bind(acks);
    const auto opened = sink.open(make_assignment(0));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, ErrorKind::transient);
    EXPECT_NE(opened.error().reason.find("127.0.0.1:1"), std::string::npos) << opened.error().reason;
}

}  // namespace
}  // namespace fetcher
