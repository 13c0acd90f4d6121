#include "database_world.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

namespace fetcher {

void DatabaseWorld::SetUp() {
    const char* url = std::getenv("FETCHER_TEST_DATABASE_URL");
    if (!url) GTEST_SKIP() << "FETCHER_TEST_DATABASE_URL names no PostgreSQL";
    static std::atomic<int> number{0};
    url_ = url;
    schema_ = "test_" + std::to_string(::getpid()) + "_" + std::to_string(number++);
    auto connection = DatabaseConnector(url_, "", "").connect(never_, std::chrono::seconds(20));
    ASSERT_TRUE(connection) << connection.error().words;
    connection_ = std::move(*connection);
    run("CREATE SCHEMA " + schema_);
}

void DatabaseWorld::TearDown() {
    if (connection_) run("DROP SCHEMA " + schema_ + " CASCADE");
}

std::unique_ptr<DatabaseSync> DatabaseWorld::make_sink(const std::string& table, const char* more, Acks* acks) {
    nlohmann::json config{{"db_dsn", url_}, {"table", named(table)}};
    config.update(nlohmann::json::parse(more));
    EXPECT_TRUE(DatabaseSyncOptions::check(config, {}).empty());
    auto sink = std::make_unique<DatabaseSync>(DatabaseSyncOptions::from(config), ProcessorOwner{"consumer", "group", "topic"}, ProcessorEnvironment{});
    sink->bind(acks ? *acks : acks_);
    return sink;
}

Outcome DatabaseWorld::write(DatabaseSync& sink, const std::shared_ptr<Assignment>& assignment, int64_t first_offset,
                             const std::vector<TestRecord>& records) {
    Batch batch;
    batch.begin(assignment, first_offset);
    for (const auto& record : records) {
        batch.add(first_offset++, 1'738'324'800'123, record.value ? std::optional<std::string_view>(*record.value) : std::nullopt);
        batch.add_key(record.key ? std::optional<std::string_view>(*record.key) : std::nullopt);
        for (const auto& [name, value] : record.headers) batch.add_header(name, value ? std::optional<std::string_view>(*value) : std::nullopt);
    }
    Outcome outcome;
    for (int i = 0; i < 20; i++) {
        outcome = sink.write(batch, 0);
        if (outcome.kind != Outcome::Kind::retry) break;
    }
    return outcome;
}

Outcome DatabaseWorld::flush(DatabaseSync& sink) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    Outcome outcome = sink.flush();
    while (outcome.kind == Outcome::Kind::retry && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        outcome = sink.flush();
    }
    return outcome;
}

std::vector<std::string> DatabaseWorld::rows(const std::string& sql) {
    const auto found = connection_->run(sql);
    EXPECT_TRUE(found) << sql << ": " << found.error().words;
    std::vector<std::string> all;
    if (!found) return all;
    for (const auto& row : found->rows) {
        std::string line;
        for (size_t i = 0; i < row.size(); i++) line.append(i ? "|" : "").append(row[i].value_or("~"));
        all.push_back(std::move(line));
    }
    return all;
}

std::string DatabaseWorld::one(const std::string& sql) {
    const auto all = rows(sql);
    return all.size() == 1 ? all.front() : std::to_string(all.size()) + " rows";
}

void DatabaseWorld::run(const std::string& sql) { rows(sql); }

}  // namespace fetcher
