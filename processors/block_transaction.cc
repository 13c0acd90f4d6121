#include "processors/block_transaction.h"

#include <algorithm>

#include "processors/sql_quoting.h"

namespace fetcher {
namespace {

using Kind = DatabaseFailure::Kind;

constexpr const char* kStage = "pg_temp.fetcher_stage";
constexpr const char* kDeleted = "\"fetcher deleted\"";
constexpr const char* kOrdinal = "\"fetcher ordinal\"";
constexpr const char* kBegin = "BEGIN ISOLATION LEVEL READ COMMITTED";
constexpr std::string_view kCopyHeader{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};
constexpr std::string_view kCopyEnd{"\377\377", 2};

std::string joined(const std::vector<std::string>& parts, const char* separator) {
    std::string text;
    for (const auto& part : parts) text.append(&part == &parts.front() ? "" : separator).append(part);
    return text;
}

std::vector<std::string_view> framed(std::vector<std::string_view> pieces) {
    pieces.insert(pieces.begin(), kCopyHeader);
    pieces.push_back(kCopyEnd);
    return pieces;
}

// nullopt, less than any number: there is no row.
std::optional<int64_t> next_of(const std::vector<StoredPosition>& stored, int32_t partition, const std::string& topic_id) {
    for (const auto& row : stored)
        if (row.partition == partition && row.topic_id == topic_id) return row.next;
    return std::nullopt;
}

// {number, end, the position that it is told with}
std::string epoch_at(const PositionMove& move, int64_t position) {
    if (!move.last.is_known() || move.last.end > position) return "NULL::bigint[]";
    return "ARRAY[" + std::to_string(move.last.number) + ", " + std::to_string(move.last.end) + ", " + std::to_string(position) + "]::bigint[]";
}

// Gives the transaction up, so that the connection can be used again. The first failure counts.
tl::unexpected<DatabaseFailure> rolled_back(DatabaseConnection& connection, DatabaseFailure failure) {
    if (failure.kind == Kind::connection || failure.kind == Kind::stopped) return failed(std::move(failure));
    if (auto done = connection.run("ROLLBACK"); !done) {
        // Nothing is known of the connection now; what was refused will be refused again.
        if (failure.kind == Kind::transient || done.error().kind == Kind::stopped) return failed(std::move(done.error()));
        failure.kind = failure.kind == Kind::fatal ? Kind::fatal : Kind::connection;
    }
    return failed(std::move(failure));
}

}  // namespace

BlockTransaction::BlockTransaction(DatabaseTable table, ProcessorOwner owner, std::string synchronous_commit)
    : table_(std::move(table)), owner_(std::move(owner)), synchronous_commit_(std::move(synchronous_commit)) {
    std::vector<std::string> columns;
    for (const auto& plan : table_.shape.columns) columns.push_back(quoted_identifier(plan.name));
    column_list_ = joined(columns, ", ");
}

DatabaseResult<void> BlockTransaction::prepare_session(DatabaseConnection& connection) const {
    // Whoever holds a lock for long is told of, rather than waited for in silence; and we hold none for ever, should this process be frozen or
    // a statement take too long. A shorter limit of the role's or the database's counts.
    const auto at_most = [](const char* setting, const char* number) {
        return std::string("SELECT pg_catalog.set_config(name, '") + number + "', false) FROM pg_catalog.pg_settings WHERE name = '" + setting +
               "' AND (setting::bigint = 0 OR setting::bigint > " + number + ")";
    };
    std::string sql = at_most("lock_timeout", "20000") + "; " + at_most("statement_timeout", "30000") + "; " +
                      at_most("idle_in_transaction_session_timeout", "30000");
    if (!synchronous_commit_.empty()) sql += "; SET synchronous_commit TO " + quoted_literal(synchronous_commit_);
    if (table_.shape.upsert) {
        sql += std::string("; CREATE TEMPORARY TABLE fetcher_stage ON COMMIT DELETE ROWS AS SELECT ") + column_list_ +
               (table_.shape.delete_on_null ? std::string(", false AS ") + kDeleted : "") +
               (table_.shape.ordinal ? std::string(", 0::bigint AS ") + kOrdinal : "") + " FROM " + table_.name + " WITH NO DATA";
    }
    if (auto set = connection.run(sql); !set) return failed(std::move(set.error()));
    // So that the server notices when we are gone, while it works for us and while it waits for rows with locks in its hand. Not each one can.
    for (const std::string& notice : {std::string("SET client_connection_check_interval TO '5s'"),
                                      at_most("tcp_keepalives_idle", "30") + "; " + at_most("tcp_keepalives_interval", "10") + "; " +
                                          at_most("tcp_keepalives_count", "3")}) {
        auto set = connection.run(notice);
        if (!set && (set.error().kind == Kind::connection || set.error().kind == Kind::stopped)) return failed(std::move(set.error()));
    }
    return {};
}

std::vector<std::string> BlockTransaction::row_statements() const {
    if (!table_.shape.upsert) return {"COPY " + table_.name + " (" + column_list_ + ") FROM STDIN (FORMAT BINARY)"};
    const bool deletes = table_.shape.delete_on_null;
    std::vector<std::string> same, same_staged, keys, sets;
    for (const auto& key : table_.key_columns) {
        keys.push_back(quoted_identifier(key));
        same.push_back("t." + keys.back() + " = s." + keys.back());
        same_staged.push_back("e." + keys.back() + " = s." + keys.back());
    }
    for (const auto& plan : table_.shape.columns)
        if (!plan.is_key) sets.push_back(quoted_identifier(plan.name) + " = EXCLUDED." + quoted_identifier(plan.name));
    std::vector<std::string> statements;
    const std::string staged = column_list_ + (deletes ? std::string(", ") + kDeleted : "") + (table_.shape.ordinal ? std::string(", ") + kOrdinal : "");
    statements.push_back(std::string("COPY ") + kStage + " (" + staged + ") FROM STDIN (FORMAT BINARY)");
    if (table_.shape.ordinal)
        statements.push_back(std::string("DELETE FROM ") + kStage + " e USING " + kStage + " s WHERE e." + kOrdinal + " < s." + kOrdinal + " AND " + joined(same_staged, " AND "));
    if (deletes) statements.push_back("DELETE FROM " + table_.name + " t USING " + kStage + " s WHERE s." + kDeleted + " AND " + joined(same, " AND "));
    statements.push_back("INSERT INTO " + table_.name + " (" + column_list_ + ") SELECT " + column_list_ + " FROM " + kStage +
                         (deletes ? std::string(" WHERE NOT ") + kDeleted : "") + " ON CONFLICT (" + joined(keys, ", ") + ") DO " +
                         (sets.empty() ? "NOTHING" : "UPDATE SET " + joined(sets, ", ")));
    return statements;
}

// Fails, by dividing by zero, unless every position row is where we left it.
std::string BlockTransaction::fence(const RowBlock& block) const {
    std::string values;
    size_t moves = 0;
    const auto ends = block.step_ends();
    for (size_t m = 0; m < ends.size(); m++) {
        const auto& move = block.moves()[m];
        if (move.dropped) continue;
        values += (moves++ ? ", (" : "(") + std::to_string(move.assignment->partition) + ", " +
                  (move.from ? std::to_string(*move.from) : std::string("NULL")) + "::bigint, " + std::to_string(ends[m]) + "::bigint, " +
                  quoted_literal(move.topic_id) + (table_.keeps_epochs ? ", " + epoch_at(move, ends[m]) : "") + ")";
    }
    const std::string target = quoted_literal(table_.target), group = quoted_literal(owner_.group), topic = quoted_literal(owner_.topic);
    const bool epochs = table_.keeps_epochs;
    return std::string("WITH given (partition, since, until, topic_id") + (epochs ? ", leader_epoch" : "") + ") AS (VALUES " + values + "), moved AS (UPDATE " +
           table_.positions + " p SET next = g.until, " + (epochs ? "leader_epoch = g.leader_epoch, " : "") + "updated_at = pg_catalog.now() FROM given g WHERE p.target = " + target +
           " AND p.consumer_group = " + group + " AND p.topic = " + topic +
           " AND p.partition = g.partition AND p.topic_id = g.topic_id AND p.next = g.since RETURNING 1), made AS (INSERT INTO " + table_.positions +
           " (target, consumer_group, topic, partition, next, topic_id" + (epochs ? ", leader_epoch" : "") + ") SELECT " + target + ", " + group + ", " + topic +
           ", g.partition, g.until, g.topic_id" + (epochs ? ", g.leader_epoch" : "") + " FROM given g WHERE g.since IS NULL ON CONFLICT DO NOTHING RETURNING 1) "
           "SELECT 1 / CASE WHEN (SELECT pg_catalog.count(*) FROM moved) + (SELECT pg_catalog.count(*) FROM made) = " +
           std::to_string(moves) + " THEN 1 ELSE 0 END";
}

// The first position of a partition must survive a crash even where others need not: without any row the engine would go by the group's
// committed offset, which may be further.
std::string BlockTransaction::local_settings(const RowBlock& block) const {
    const bool first = std::ranges::any_of(block.moves(), [](const auto& move) { return !move.dropped && !move.from; });
    // Also where the option says nothing: the server, the role or the database may have it off.
    return first && (synchronous_commit_ == "off" || synchronous_commit_.empty()) ? "; SET LOCAL synchronous_commit TO on" : "";
}

DatabaseResult<void> BlockTransaction::write(DatabaseConnection& connection, const RowBlock& block) const {
    const auto pieces = block.pieces();
    const std::string settings = local_settings(block);
    std::vector<std::string> statements;
    if (!pieces.empty()) statements = row_statements();
    const int fence_index = static_cast<int>(1 + (settings.empty() ? 0 : 1) + statements.size());
    statements.push_back(fence(block));
    statements.emplace_back("COMMIT");
    auto done = connection.run(kBegin + settings + "; " + joined(statements, "; "), framed(pieces));
    if (done) return {};
    if (done.error().statement == fence_index && done.error().sqlstate == "22012") done.error().kind = Kind::moved;
    auto why = rolled_back(connection, std::move(done.error()));
    if (why.value().kind == Kind::row) return failed(refused_or_moved(connection, block, std::move(why.value())));
    return why;
}

// A unique index refuses rows that are there already before the fence is reached: whether they are, and whose, the positions tell.
DatabaseFailure BlockTransaction::refused_or_moved(DatabaseConnection& connection, const RowBlock& block, DatabaseFailure refused) const {
    const auto moved = moved_positions(connection, block);
    if (!moved) return moved.error();
    if (!moved->empty()) refused.kind = Kind::moved;
    return refused;
}

DatabaseResult<void> BlockTransaction::land(DatabaseConnection& connection, const RowBlock& block, Rows rows, bool only_first,
                                            std::vector<RefusedRow>& refused) const {
    const auto is_behind = [&](uint32_t row) {
        return std::ranges::any_of(refused, [&](const auto& bad) { return block.rows()[bad.index].move == block.rows()[row].move; });
    };
    if (only_first) std::erase_if(rows, is_behind);
    if (rows.empty()) return {};
    const std::string clear = table_.shape.upsert ? std::string("TRUNCATE ") + kStage + "; " : "";
    auto done = connection.run("SAVEPOINT piece; " + clear + joined(row_statements(), "; ") + "; RELEASE SAVEPOINT piece", framed(block.pieces(rows)));
    if (done) return {};
    if (done.error().kind != Kind::row) return failed(std::move(done.error()));
    if (auto back = connection.run("ROLLBACK TO SAVEPOINT piece; RELEASE SAVEPOINT piece"); !back) return failed(std::move(back.error()));
    if (rows.size() == 1) {
        refused.push_back({rows.front(), std::move(done.error().words)});
        return {};
    }
    const auto middle = rows.begin() + static_cast<ptrdiff_t>(rows.size() / 2);
    if (auto first = land(connection, block, Rows(rows.begin(), middle), only_first, refused); !first) return first;
    return land(connection, block, Rows(middle, rows.end()), only_first, refused);
}

DatabaseResult<std::vector<BlockTransaction::RefusedRow>> BlockTransaction::land_all(DatabaseConnection& connection, const RowBlock& block,
                                                                                     bool only_first) const {
    auto begun = connection.run(kBegin + local_settings(block) + "; SET CONSTRAINTS ALL IMMEDIATE");
    if (!begun) return failed(std::move(begun.error()));
    std::vector<RefusedRow> refused;
    // Of an upsert the last row of each key alone: what PostgreSQL would never see is not judged.
    if (auto landed = land(connection, block, block.rows_to_write(), only_first, refused); !landed) return failed(std::move(landed.error()));
    // Which of them are written in the end is decided without a transaction that holds locks meanwhile.
    auto ended = connection.run(refused.empty() ? fence(block) + "; COMMIT" : "ROLLBACK");
    if (ended) return refused;
    if (refused.empty() && ended.error().statement == 0 && ended.error().sqlstate == "22012") ended.error().kind = Kind::moved;
    return failed(std::move(ended.error()));
}

DatabaseResult<std::vector<BlockTransaction::RefusedRow>> BlockTransaction::write_or_find_refused(DatabaseConnection& connection, const RowBlock& block,
                                                                                                  bool only_first) const {
    auto done = land_all(connection, block, only_first);
    if (!done) return rolled_back(connection, std::move(done.error()));
    if (done->empty()) return done;
    // Others may have written meanwhile.
    auto still = refused_or_moved(connection, block, {Kind::row, "", "", 0});
    if (still.kind != Kind::row) return failed(std::move(still));
    return done;
}

DatabaseResult<std::vector<std::pair<uint32_t, std::optional<int64_t>>>> BlockTransaction::moved_positions(DatabaseConnection& connection,
                                                                                                            const RowBlock& block) const {
    std::vector<int32_t> partitions;
    for (const auto& move : block.moves())
        if (!move.dropped) partitions.push_back(move.assignment->partition);
    const auto stored = read_positions(connection, table_, owner_, partitions);
    if (!stored) return failed(stored.error());
    std::vector<std::pair<uint32_t, std::optional<int64_t>>> moved;
    for (uint32_t m = 0; m < block.moves().size(); m++) {
        const auto& move = block.moves()[m];
        if (move.dropped) continue;
        const auto next = next_of(*stored, move.assignment->partition, move.topic_id);
        if (next != move.from) moved.emplace_back(m, next);
    }
    return moved;
}

DatabaseResult<std::optional<BlockTransaction::Lost>> BlockTransaction::find_lost(DatabaseConnection& connection,
                                                                                  const std::vector<Expected>& expected) const {
    if (expected.empty()) return std::nullopt;
    std::vector<int32_t> partitions;
    for (const auto& one : expected) partitions.push_back(one.partition);
    const auto stored = read_positions(connection, table_, owner_, partitions);
    if (!stored) return failed(stored.error());
    const auto lost = std::ranges::find_if(expected, [&](const auto& one) { return next_of(*stored, one.partition, one.topic_id) < one.next; });
    if (lost == expected.end()) return std::nullopt;
    return Lost{lost->partition, !next_of(*stored, lost->partition, lost->topic_id)};
}

}  // namespace fetcher
