#include "processors/database_sync_options.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "processors/database_sync_type.h"

namespace fetcher {
namespace {

using nlohmann::json;

json with(const char* more) {
    json config{{"db_dsn", "postgresql://user:password@db-host/payments"}};
    config.update(json::parse(more));
    return config;
}

std::string refusals(const char* more) {
    std::string pointers;
    for (const auto& problem : DatabaseSyncOptions::check(with(more), {})) pointers += problem.pointer + " ";
    return pointers;
}

TEST(DatabaseSyncOptions, HaveTheDefaultsOfTheirSchema) {
    const auto schema = DatabaseSyncOptions::json_schema();
    const auto options = DatabaseSyncOptions::from(with("{}"));
    EXPECT_EQ(options.table, schema["properties"]["table"]["default"]);
    EXPECT_EQ(options.workers, schema["properties"]["workers"]["default"]);
    EXPECT_EQ(options.max_batch_records, schema["properties"]["max_batch_records"]["default"]);
    EXPECT_EQ(options.max_batch_bytes, schema["properties"]["max_batch_bytes"]["default"]);
    EXPECT_TRUE(schema["properties"]["db_dsn"]["writeOnly"]);
    EXPECT_EQ(options.columns.size(), 7U);
    EXPECT_EQ(refusals("{}"), "");
}

TEST(DatabaseSyncOptions, ATableMayHaveASchema) {
    const auto options = DatabaseSyncOptions::from(with(R"({"table": "Sales.orders 2"})"));
    EXPECT_EQ(options.schema, "Sales");
    EXPECT_EQ(options.table, "orders 2");
    const auto quoted = DatabaseSyncOptions::from(with(R"({"table": "\"a.b\".\"say \"\"c\"\"\""})"));
    EXPECT_EQ(quoted.schema, "a.b");
    EXPECT_EQ(quoted.table, "say \"c\"");
    for (const char* table : {R"({"table": "a.b.c"})", R"({"table": ".b"})", R"({"table": "a."})", R"({"table": "\"a"})", R"({"table": "\"a\"b"})", R"({"table": "\"\""})"}) EXPECT_EQ(refusals(table), "/table ");
}

TEST(DatabaseSyncOptions, ColumnsAreJudgedOneByOne) {
    EXPECT_EQ(refusals(R"({"columns": {"id": "/id", "k": "$key", "kid": "$key/id", "v": "$value", "o": "$offset"}})"), "");
    EXPECT_EQ(refusals(R"({"columns": {"a": "id", "b": "$nothing", "c": "/a~2", "d": "$topic/x"}})"), "/columns/a /columns/b /columns/c /columns/d ");
}

TEST(DatabaseSyncOptions, UpsertNeedsKeysThatAreWritten) {
    EXPECT_EQ(refusals(R"({"mode": "upsert"})"), "/key_columns ");
    EXPECT_EQ(refusals(R"({"mode": "upsert", "key_columns": ["key"]})"), "");
    EXPECT_EQ(refusals(R"({"mode": "upsert", "key_columns": ["key", "key", "nope"]})"), "/key_columns/1 /key_columns/2 ");
    EXPECT_EQ(refusals(R"({"key_columns": ["key"], "delete_on_null": true})"), "/key_columns /delete_on_null ");
}

TEST(DatabaseSyncOptions, WhatDeletesIsFoundWithoutAValue) {
    EXPECT_EQ(refusals(R"({"mode": "upsert", "delete_on_null": true, "key_columns": ["id"], "columns": {"id": "$key/id", "v": "/v"}})"), "");
    EXPECT_EQ(refusals(R"({"mode": "upsert", "delete_on_null": true, "key_columns": ["id"], "columns": {"id": "/id", "v": "/v"}})"), "/key_columns/0 ");
}

TEST(DatabaseSyncOptions, OneTableIsOneClaimHoweverItIsWritten) {
    const auto claim = [](const json& config) { return DatabaseSyncType().claim(config, {"consumer", "group", "topic"}, {}); };
    const auto written = claim({{"db_dsn", "postgresql://user:password@db-host/payments"}, {"table", "t"}});
    EXPECT_EQ(claim({{"db_dsn", "host=db-host port=5432 dbname=payments user=another"}, {"table", "public.t"}}), written);
    EXPECT_EQ(claim({{"db_dsn", "postgres://user:hunter2@db-host:5432/payments?sslmode=require"}, {"table", "\"t\""}}), written);
    EXPECT_EQ(claim({{"db_dsn", "host=db-host user=payments"}, {"table", "public.\"t\""}}), written);
    for (const char* other : {"T", "other.t", "u"}) EXPECT_NE(claim({{"db_dsn", "postgresql://user@db-host/payments"}, {"table", other}}), written);
    EXPECT_NE(claim({{"db_dsn", "postgresql://user@db-host/orders"}, {"table", "t"}}), written);
    const auto of_two = claim({{"db_dsn", "postgresql://user@one,two:5433/payments"}, {"table", "t"}});
    EXPECT_EQ(claim({{"db_dsn", "host=two,one port=5433,5432 dbname=payments"}, {"table", "t"}}), of_two);
    EXPECT_EQ(claim({{"db_dsn", "${secret:DSN}"}}), "table public.kafka_messages at ${secret:DSN} for consumer consumer");
    EXPECT_EQ(written.find("password"), std::string::npos) << written;
}

TEST(DatabaseSyncOptions, AnswersShowNoPassword) {
    const auto shown = DatabaseSyncType().masked(with("{}"));
    EXPECT_EQ(shown["db_dsn"], "postgresql://user:***@db-host/payments");
    EXPECT_EQ(DatabaseSyncOptions::check(shown, {}).front().pointer, "/db_dsn");
}

}  // namespace
}  // namespace fetcher
