// BlockTransaction: writes a RowBlock and the positions it leads to, in one transaction.
//
// The last statement before COMMIT moves each position row from where we left it, and fails if one is not there: a second writer, or one
// that was frozen and wakes, can write no row twice. All statements go to the server at once, so no lock is held while it waits for us.
// Thread: any; whoever owns the connection
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "processors/database_connection.h"
#include "processors/database_table.h"
#include "processors/row_block.h"

namespace fetcher {

class BlockTransaction {
  public:
    BlockTransaction(DatabaseTable table, ProcessorOwner owner, std::string synchronous_commit);

    // What a new connection needs before it writes.
    DatabaseResult<void> prepare_session(DatabaseConnection& connection) const;

    // All or nothing. After a failure that leaves the connection usable the transaction is rolled back. Rows that are refused, by a unique
    // index perhaps because they are there already, while a position is not where we left it: moved.
    DatabaseResult<void> write(DatabaseConnection& connection, const RowBlock& block) const;

    struct RefusedRow {
        uint32_t index = 0;  // in the block
        std::string words;   // PostgreSQL's
    };
    // After a failure of kind row: writes the rows part by part and so finds those that are refused: all of them, or the first of each
    // partition. None: the block is committed. Some: nothing of it is written, no transaction is left open, and no position has been moved.
    DatabaseResult<std::vector<RefusedRow>> write_or_find_refused(DatabaseConnection& connection, const RowBlock& block, bool only_first) const;

    // Where the positions are that the block's moves do not begin at, by the move's index; nullopt: there is no row.
    DatabaseResult<std::vector<std::pair<uint32_t, std::optional<int64_t>>>> moved_positions(DatabaseConnection& connection, const RowBlock& block) const;
    // The first of the expected positions that is lower or not there at all.
    struct Expected {
        int32_t partition = 0;
        std::string topic_id;
        int64_t next = 0;
    };
    struct Lost {
        int32_t partition = 0;
        bool row_is_gone = false;
    };
    DatabaseResult<std::optional<Lost>> find_lost(DatabaseConnection& connection, const std::vector<Expected>& expected) const;

  private:
    using Rows = std::vector<uint32_t>;

    std::vector<std::string> row_statements() const;
    std::string fence(const RowBlock& block) const;
    std::string local_settings(const RowBlock& block) const;
    // Writes the rows within the transaction, but for those that are refused.
    DatabaseResult<void> land(DatabaseConnection& connection, const RowBlock& block, Rows rows, bool only_first, std::vector<RefusedRow>& refused) const;
    DatabaseFailure refused_or_moved(DatabaseConnection& connection, const RowBlock& block, DatabaseFailure refused) const;
    DatabaseResult<std::vector<RefusedRow>> land_all(DatabaseConnection& connection, const RowBlock& block, bool only_first) const;

    const DatabaseTable table_;
    const ProcessorOwner owner_;
    const std::string synchronous_commit_;
    std::string column_list_;
};

}  // namespace fetcher
