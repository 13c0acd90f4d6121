// DatabaseWorld: a schema of its own in the PostgreSQL of FETCHER_TEST_DATABASE_URL, sinks that write to it, and questions about what is there.
// Without that variable the tests that need it are skipped.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "processors/database_connector.h"
#include "processors/database_sync.h"
#include "sink_world.h"

namespace fetcher {

struct TestRecord {
    std::optional<std::string> value;
    std::optional<std::string> key = std::nullopt;
    std::vector<std::pair<std::string, std::optional<std::string>>> headers = {};
};

class DatabaseWorld : public ::testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    // A sink for schema.table; `more` are further options.
    std::unique_ptr<DatabaseSync> make_sink(const std::string& table, const char* more = "{}", Acks* acks = nullptr);
    Outcome write(DatabaseSync& sink, const std::shared_ptr<Assignment>& assignment, int64_t first_offset, const std::vector<TestRecord>& records);
    // Flushes until it is done, however often it has to be asked.
    Outcome flush(DatabaseSync& sink);
    // Rows as "a|b|c", null as "~".
    std::vector<std::string> rows(const std::string& sql);
    std::string one(const std::string& sql);
    void run(const std::string& sql);
    std::string named(const std::string& table) const { return schema_ + "." + table; }

    std::string url_;
    std::string schema_;
    RecordingAcks acks_;

  private:
    StopSignal never_;
    std::unique_ptr<DatabaseConnection> connection_;
};

}  // namespace fetcher
