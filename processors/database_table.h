// The table that is written and the table of positions beside it: made where they are missing, looked at where they exist.
// Thread: any; whoever owns the connection
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/processor.h"
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
    bool keeps_epochs = true;  // fetcher_positions has the column for it; not where it is of an earlier version and could not be added

    // Leaves the connection within a transaction where it fails: close it then.
    static DatabaseResult<DatabaseTable> prepare(DatabaseConnection& connection, const DatabaseSyncOptions& options);
};

struct StoredPosition {
    int32_t partition = 0;
    int64_t next = 0;
    std::string topic_id;
    LeaderEpoch last{};
};

// Rows of fetcher_positions are keyed by table, group, topic, partition and topic id. By the id, and not only fenced by it: topics of one name
// in two clusters have rows of their own instead of each taking the other's for that of a topic made anew; and a topic made anew begins
// without a row, so nothing that is still on its way for the old one can count for it.
// Those of the partitions, of any topic id; the one moved last comes first.
DatabaseResult<std::vector<StoredPosition>> read_positions(DatabaseConnection& connection, const DatabaseTable& table, const ProcessorOwner& owner,
                                                           const std::vector<int32_t>& partitions);

// Where the sink stands in a partition, and under which topic id its row is kept.
struct Standing {
    std::optional<Position> position;  // for the engine
    std::optional<int64_t> stored;     // nullopt: there is no row yet
    std::string topic_id;
};
// Where the log was cut and the row stands behind that, the row goes back.
DatabaseResult<Standing> find_standing(DatabaseConnection& connection, const DatabaseTable& table, const ProcessorOwner& owner, const Assignment& assignment);

}  // namespace fetcher
