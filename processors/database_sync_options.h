// DatabaseSyncOptions: the configuration of a database_sync, and its JSON Schema.
// Thread: any; never changes
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "processors/column_source.h"
#include "processors/registry.h"

namespace fetcher {

struct DatabaseSyncOptions {
    struct Column {
        std::string name;
        ColumnSource source;
    };

    struct TableName {
        std::string schema, table;
    };

    std::string db_dsn;  // with its references
    std::string schema;  // empty: where the role's search_path leads
    std::string table = "kafka_messages";
    bool create_table = true;
    std::string value_type = "text";  // of the column value, where the table is created
    bool mapped = false;              // columns are given
    std::vector<Column> columns;      // those given, or the standard ones
    bool upsert = false;
    std::vector<std::string> key_columns;
    bool delete_on_null = false;
    size_t workers = 2;
    size_t max_batch_records = 100'000;
    size_t max_batch_bytes = size_t{8} << 20;
    std::string synchronous_commit;  // empty: as the server has it

    static nlohmann::json json_schema();
    // Requires that config has passed the schema and check().
    static DatabaseSyncOptions from(const nlohmann::json& config);
    // What the schema cannot say.
    static std::vector<ConfigProblem> check(const nlohmann::json& config, const ProcessorEnvironment& environment);
};

}  // namespace fetcher
