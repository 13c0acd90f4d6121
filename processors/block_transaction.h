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

    // All or nothing. After a failure that leaves the connection usable the transaction is rolled back.
    DatabaseResult<void> write(DatabaseConnection& connection, const RowBlock& block) const;

    struct BadRow {
        int32_t partition = 0;
        int64_t offset = 0;
        std::string words;  // PostgreSQL's
    };
    // After a failure of kind row: finds the first row of each partition that is refused, writes those before it, and shortens the moves
    // to end there.
    DatabaseResult<std::vector<BadRow>> write_up_to_bad_rows(DatabaseConnection& connection, RowBlock& block) const;

    // What has become of positions that are not where we left them.
    struct Settled {
        std::vector<PositionMove> done;  // there or beyond: by our own COMMIT whose answer was lost, or by another member's
        std::vector<int32_t> taken;      // partitions that another member has moved, but not as far
        std::vector<int32_t> lost;       // partitions whose position has gone back: the database has lost its latest transactions
    };
    // After a failure of kind moved. Drops the moves that are done.
    DatabaseResult<Settled> settle(DatabaseConnection& connection, RowBlock& block) const;

  private:
    using Rows = std::vector<uint32_t>;

    std::vector<std::string> row_statements() const;
    std::string fence(const RowBlock& block) const;
    std::string local_settings(const RowBlock& block) const;
    // Writes rows [begin, end) within the transaction up to the first that is refused; that one, if there is one.
    DatabaseResult<std::optional<std::pair<size_t, std::string>>> land(DatabaseConnection& connection, const RowBlock& block, const Rows& rows,
                                                                       size_t begin, size_t end) const;
    DatabaseResult<std::vector<BadRow>> land_all(DatabaseConnection& connection, RowBlock& block) const;

    const DatabaseTable table_;
    const ProcessorOwner owner_;
    const std::string synchronous_commit_;
    std::string column_list_;
};

}  // namespace fetcher
