// A database of a test's own on the PostgreSQL that FETCHER_TEST_DATABASE_URL names (scripts/postgres start; scripts/postgres url). It is gone
// when the test is.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "admin/postgres_connection.h"

namespace fetcher {

class TestDatabase {
  public:
    static constexpr const char* kMissing = "FETCHER_TEST_DATABASE_URL is not set: scripts/postgres start, then $(scripts/postgres url)";

    static bool available() { return std::getenv("FETCHER_TEST_DATABASE_URL") != nullptr; }

    TestDatabase() : admin_url_(*parse_postgres_url(std::getenv("FETCHER_TEST_DATABASE_URL"))), url_(admin_url_) {
        static std::atomic<int> number{0};
        url_.database = "fetcher_test_" + std::to_string(getpid()) + "_" + std::to_string(++number);
        admin("DROP DATABASE IF EXISTS " + url_.database);
        admin("CREATE DATABASE " + url_.database);
    }
    ~TestDatabase() { admin("DROP DATABASE " + url_.database + " WITH (FORCE)"); }
    TestDatabase(const TestDatabase&) = delete;
    TestDatabase& operator=(const TestDatabase&) = delete;

    const PostgresUrl& url() const { return url_; }

    static std::chrono::steady_clock::time_point soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }

    // On the database itself.
    PostgresConnection::Rows run(const std::string& statement) const { return run_on(url_, statement); }
    // On the server.
    PostgresConnection::Rows admin(const std::string& statement) const { return run_on(admin_url_, statement); }

  private:
    static PostgresConnection::Rows run_on(const PostgresUrl& url, const std::string& statement) {
        const auto connection = PostgresConnection::connect(url, std::chrono::seconds(20), soon());
        if (!connection) {
            ADD_FAILURE() << connection.error().reason;
            return {};
        }
        const auto rows = (*connection)->run(statement, {}, soon());
        if (!rows) ADD_FAILURE() << statement << ": " << rows.error().reason;
        return rows.value_or(PostgresConnection::Rows{});
    }

    const PostgresUrl admin_url_;
    PostgresUrl url_;
};

}  // namespace fetcher
