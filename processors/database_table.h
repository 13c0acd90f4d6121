// The table that is written and the table of positions beside it: made where they are missing, looked at where they exist.
// Thread: any; whoever owns the connection
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "processors/database_connection.h"
#include "processors/database_sync_options.h"
#include "processors/row_encoder.h"

namespace fetcher {

struct DatabaseTable {
    std::string name;       // quoted, with its schema
    std::string positions;  // likewise: fetcher_positions in the same schema
    std::string target;     // as position rows name the table: schema.table
    RowShape shape;
    std::vector<std::string> key_columns;

    // Leaves the connection within a transaction where it fails: close it then.
    static DatabaseResult<DatabaseTable> prepare(DatabaseConnection& connection, const DatabaseSyncOptions& options);
};

struct StoredPosition {
    int32_t partition = 0;
    int64_t next = 0;
    std::string topic_id;
};

// Of those of the partitions that have one. Rows of fetcher_positions are keyed by table, group, topic and partition.
DatabaseResult<std::vector<StoredPosition>> read_positions(DatabaseConnection& connection, const DatabaseTable& table, const ProcessorOwner& owner,
                                                           const std::vector<int32_t>& partitions);

}  // namespace fetcher
