#include "processors/database_table.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "processors/sql_quoting.h"

namespace fetcher {
namespace {

constexpr const char* kPositions = "fetcher_positions";
constexpr const char* kLock = "8243105627431";  // replicas that start at once make tables one after the other

tl::unexpected<DatabaseFailure> refused(std::string words) {
    return failed({DatabaseFailure::Kind::fatal, "", std::move(words), 0});
}

tl::unexpected<DatabaseFailure> unlogged(const std::string& what) {
    return refused(what + " is unlogged or temporary: after a crash its rows would be gone but not the position; ALTER TABLE … SET LOGGED");
}

struct FoundTable {
    std::string schema, name, kind, persistence;
};

std::string as_written(const DatabaseSyncOptions& options) {
    return options.schema.empty() ? options.table : options.schema + "." + options.table;
}

std::string quoted_name(const std::string& schema, const std::string& table) {
    return schema.empty() ? quoted_identifier(table) : quoted_identifier(schema) + "." + quoted_identifier(table);
}

DatabaseResult<std::optional<FoundTable>> find(DatabaseConnection& connection, const std::string& quoted) {
    auto found = connection.run("SELECT n.nspname, c.relname, c.relkind, c.relpersistence FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                                "WHERE c.oid = pg_catalog.to_regclass(" +
                                quoted_literal(quoted) + ")");
    if (!found) return failed(std::move(found.error()));
    if (found->rows.empty()) return std::nullopt;
    const auto& row = found->rows.front();
    return FoundTable{row[0].value_or(""), row[1].value_or(""), row[2].value_or(""), row[3].value_or("")};
}

std::string create_statement(const DatabaseSyncOptions& options) {
    const std::string key_type = options.value_type == "bytea" ? "bytea" : "text";
    std::string sql = "CREATE TABLE " + quoted_name(options.schema, options.table) +
                      " (topic text NOT NULL, partition integer NOT NULL, \"offset\" bigint NOT NULL, \"timestamp\" timestamptz, key " + key_type +
                      ", headers jsonb, value " + options.value_type;
    if (options.upsert) {
        sql += ", PRIMARY KEY (";
        for (const auto& key : options.key_columns) sql += (&key == &options.key_columns.front() ? "" : ", ") + quoted_identifier(key);
        sql += ")";
    }
    return sql + ")";
}

std::string positions_statement(const std::string& quoted) {
    return "CREATE TABLE " + quoted +
           " (target text NOT NULL, consumer_group text NOT NULL, topic text NOT NULL, partition integer NOT NULL, next bigint NOT NULL, topic_id "
           "text NOT NULL DEFAULT '', leader_epoch bigint[], updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (target, consumer_group, topic, partition, topic_id)) "
           "WITH (fillfactor = 50)";
}

// Making a table failed: where that is a matter of rights, a person may do it instead.
DatabaseFailure with_statement(DatabaseFailure failure, const std::string& statement) {
    if (failure.sqlstate == "42501") failure.words += "; grant CREATE on the schema to the role of db_dsn, or run yourself: " + statement;
    return failure;
}

// Tables of earlier versions have a key without the topic id.
DatabaseResult<void> renew_key(DatabaseConnection& connection, const std::string& positions) {
    const auto found = connection.run("SELECT pg_catalog.quote_ident(c.conname) FROM pg_catalog.pg_constraint c WHERE c.contype = 'p' AND c.conrelid = pg_catalog.to_regclass(" +
                                      quoted_literal(positions) +
                                      ") AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.conrelid AND a.attname = "
                                      "'topic_id' AND a.attnum = ANY (c.conkey))");
    if (!found) return failed(found.error());
    if (found->rows.empty()) return {};
    const std::string statement = "ALTER TABLE " + positions + " DROP CONSTRAINT " + found->rows.front().front().value_or("") +
                                  ", ADD PRIMARY KEY (target, consumer_group, topic, partition, topic_id)";
    auto renewed = connection.run(statement);
    if (renewed) return {};
    if (renewed.error().sqlstate == "42501") renewed.error().words += "; let its owner run: " + statement;
    return failed(std::move(renewed.error()));
}

// And no column for the leader epoch. False: only their owner may add it, or the table is in use; then it is done without.
DatabaseResult<bool> add_epochs(DatabaseConnection& connection, const std::string& positions) {
    const auto found = connection.run("SELECT 1 FROM pg_catalog.pg_attribute WHERE attname = 'leader_epoch' AND NOT attisdropped AND attrelid = pg_catalog.to_regclass(" +
                                      quoted_literal(positions) + ")");
    if (!found) return failed(found.error());
    if (!found->rows.empty()) return true;
    // Whoever waits for the lock holds up all that write there: it is had soon, or another time.
    const auto added = connection.run("SAVEPOINT epochs; SET LOCAL lock_timeout TO '200ms'; ALTER TABLE " + positions +
                                      " ADD COLUMN leader_epoch bigint[]; SET LOCAL lock_timeout TO '5s'");
    if (added) return true;
    if (added.error().sqlstate != "42501" && added.error().sqlstate != "55P03") return failed(added.error());
    if (auto back = connection.run("ROLLBACK TO SAVEPOINT epochs"); !back) return failed(back.error());
    return false;
}

DatabaseResult<FoundTable> find_or_create(DatabaseConnection& connection, const DatabaseSyncOptions& options) {
    const std::string quoted = quoted_name(options.schema, options.table);
    auto found = find(connection, quoted);
    if (!found) return failed(std::move(found.error()));
    if (!*found) {
        if (options.mapped) return refused("table " + as_written(options) + " does not exist; with columns its types are those of the table: create it");
        if (!options.create_table) return refused("table " + as_written(options) + " does not exist; create it, or set create_table to true");
        const std::string statement = create_statement(options);
        if (auto made = connection.run(statement); !made) return failed(with_statement(std::move(made.error()), statement));
        found = find(connection, quoted);
        if (!found) return failed(std::move(found.error()));
        if (!*found) return refused("table " + as_written(options) + " was made but is not found; name it with its schema");
    }
    const FoundTable& table = **found;
    if (table.kind != "r" && table.kind != "p") return refused(as_written(options) + " is no table; database_sync writes to tables only");
    if (table.persistence != "p") return unlogged("table " + as_written(options));
    if (table.kind == "r") return table;
    const auto partition = connection.run("SELECT n.nspname, c.relname FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass(" + quoted_literal(quoted) +
                                          ")) t JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                                          "WHERE c.relpersistence <> 'p' LIMIT 1");
    if (!partition) return failed(partition.error());
    if (partition->rows.empty()) return table;
    const auto& row = partition->rows.front();
    return unlogged("table " + as_written(options) + ": its partition " + row[0].value_or("") + "." + row[1].value_or(""));
}

struct FoundColumn {
    std::string type;
    bool generated = false;
    bool loose = false;  // values that differ may be equal to PostgreSQL: 1.0 and 1.00, or what is cut, rounded or compared without case
};

DatabaseResult<std::map<std::string, FoundColumn>> read_columns(DatabaseConnection& connection, const std::string& quoted) {
    auto found = connection.run(
        "SELECT a.attname, CASE WHEN coalesce(b.typtype, t.typtype) = 'e' THEN 'enum' ELSE coalesce(b.typname, t.typname) END, "
        "a.attgenerated <> '' OR a.attidentity = 'a', a.atttypmod <> -1 OR t.typtypmod <> -1 OR NOT (coalesce(b.typtype, t.typtype) = 'e' OR "
        "coalesce(b.typname, t.typname) IN ('bool', 'int2', 'int4', 'int8', 'uuid', 'bytea', 'date', 'timestamp', 'timestamptz', 'text', 'varchar')) OR "
        "EXISTS (SELECT 1 FROM pg_catalog.pg_collation c WHERE c.oid = a.attcollation AND NOT c.collisdeterministic) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid LEFT JOIN "
        "pg_catalog.pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = "
        "pg_catalog.to_regclass(" +
        quoted_literal(quoted) + ")");
    if (!found) return failed(std::move(found.error()));
    std::map<std::string, FoundColumn> columns;
    for (const auto& row : found->rows) columns[row[0].value_or("")] = {row[1].value_or(""), row[2] == "t", row[3] == "t"};
    return columns;
}

DatabaseResult<RowShape> shape_of(const DatabaseSyncOptions& options, const std::map<std::string, FoundColumn>& columns) {
    RowShape shape{{}, options.upsert, options.delete_on_null, false};
    const std::string table = "table " + as_written(options);
    for (const auto& wanted : options.columns) {
        const auto found = columns.find(wanted.name);
        if (found == columns.end()) return refused(table + " has no column \"" + wanted.name + "\"; add it, or say with columns what goes where");
        if (found->second.generated) return refused(table + ": column \"" + wanted.name + "\" is generated and cannot be written; leave it out of columns");
        const auto type = pg_type_named(found->second.type);
        if (!type)
            return refused(table + ": column \"" + wanted.name + "\" is of type " + found->second.type + ", which cannot be written; types that can: " + known_pg_types());
        const bool key = std::ranges::find(options.key_columns, wanted.name) != options.key_columns.end();
        shape.columns.push_back({wanted.name, wanted.source, *type, key});
        shape.ordinal |= key && found->second.loose;
    }
    return shape;
}

int64_t number(const std::optional<std::string>& text) {
    int64_t value = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), value);
    return value;
}

}  // namespace

DatabaseResult<DatabaseTable> DatabaseTable::prepare(DatabaseConnection& connection, const DatabaseSyncOptions& options) {
    auto begun = connection.run(std::string("BEGIN; SET LOCAL lock_timeout TO '5s'; SET LOCAL idle_in_transaction_session_timeout TO '30s'; SELECT pg_catalog.pg_advisory_xact_lock(") + kLock + ")");
    if (!begun) return failed(std::move(begun.error()));
    const auto found = find_or_create(connection, options);
    if (!found) return failed(found.error());
    DatabaseTable table;
    table.name = quoted_name(found->schema, found->name);
    table.positions = quoted_name(found->schema, kPositions);
    table.target = found->schema + "." + found->name;
    table.key_columns = options.key_columns;

    const auto columns = read_columns(connection, table.name);
    if (!columns) return failed(columns.error());
    auto shape = shape_of(options, *columns);
    if (!shape) return failed(std::move(shape.error()));
    table.shape = std::move(*shape);

    const auto positions = find(connection, table.positions);
    if (!positions) return failed(positions.error());
    if (!*positions) {
        const std::string statement = positions_statement(table.positions);
        if (auto made = connection.run(statement); !made) return failed(with_statement(std::move(made.error()), statement));
    } else if ((*positions)->persistence != "p") {
        return refused(kPositions + std::string(" is unlogged: after a crash the positions would be gone but not the rows; ALTER TABLE … SET LOGGED"));
    } else if (auto renewed = renew_key(connection, table.positions); !renewed) {
        return failed(std::move(renewed.error()));
    } else {
        const auto keeps = add_epochs(connection, table.positions);
        if (!keeps) return failed(keeps.error());
        table.keeps_epochs = *keeps;
    }
    if (auto ended = connection.run("COMMIT"); !ended) return failed(std::move(ended.error()));
    return table;
}

namespace {

std::string conditions(const DatabaseTable& table, const ProcessorOwner& owner) {
    return " WHERE target = " + quoted_literal(table.target) + " AND consumer_group = " + quoted_literal(owner.group) +
           " AND topic = " + quoted_literal(owner.topic);
}

}  // namespace

DatabaseResult<std::vector<StoredPosition>> read_positions(DatabaseConnection& connection, const DatabaseTable& table, const ProcessorOwner& owner,
                                                           const std::vector<int32_t>& partitions) {
    std::string list;
    for (const int32_t partition : partitions) list += (list.empty() ? "" : ", ") + std::to_string(partition);
    const std::string epochs = table.keeps_epochs ? ", leader_epoch[1], leader_epoch[2], leader_epoch[3]" : "";
    auto found = connection.run("SELECT partition, next, topic_id" + epochs + " FROM " + table.positions + conditions(table, owner) + " AND partition IN (" + list +
                                ") ORDER BY updated_at DESC, topic_id");
    if (!found) return failed(std::move(found.error()));
    std::vector<StoredPosition> positions;
    for (const auto& row : found->rows) {
        auto& one = positions.emplace_back(static_cast<int32_t>(number(row[0])), number(row[1]), row[2].value_or(""));
        // With the position that it is of: earlier versions, which may write beside this one, move that alone.
        if (row.size() == 6 && row[5] && number(row[5]) == one.next) one.last = {static_cast<int32_t>(number(row[3])), number(row[4])};
    }
    return positions;
}

DatabaseResult<Standing> find_standing(DatabaseConnection& connection, const DatabaseTable& table, const ProcessorOwner& owner, const Assignment& assignment) {
    const int32_t partition = assignment.partition;
    const std::string& topic_id = assignment.topic_id;
    auto rows = read_positions(connection, table, owner, {partition});
    if (!rows) return failed(rows.error());
    if (rows->empty()) return Standing{std::nullopt, std::nullopt, topic_id};
    const auto of = [&](const std::string& id) { return std::ranges::find(*rows, id, &StoredPosition::topic_id); };
    auto row = topic_id.empty() ? rows->begin() : of(topic_id);
    if (row == rows->end() && (row = of("")) != rows->end()) {
        // Written while the broker did not tell topic ids: it is this topic's, as far as anybody knows.
        auto named = connection.run("UPDATE " + table.positions + " SET topic_id = " + quoted_literal(topic_id) + conditions(table, owner) +
                                    " AND partition = " + std::to_string(partition) + " AND topic_id = ''");
        if (!named) return failed(std::move(named.error()));
    }
    // The same for every member of the group, and true even where the group has committed more: then the database has lost its tail.
    if (row != rows->end()) {
        const std::string id = topic_id.empty() ? row->topic_id : topic_id;
        if (assignment.cut && assignment.cut->concerns(row->next, row->last)) {
            const std::string to = std::to_string(assignment.cut->offset);
            const std::string no_epoch = table.keeps_epochs ? ", leader_epoch = NULL" : "";
            auto back = connection.run("UPDATE " + table.positions + " SET next = " + to + ", updated_at = pg_catalog.now()" + no_epoch + conditions(table, owner) + " AND partition = " +
                                       std::to_string(partition) + " AND topic_id = " + quoted_literal(id) + " AND next = " + std::to_string(row->next));
            if (!back) return failed(std::move(back.error()));
            row->next = assignment.cut->offset;
            row->last = {};
        }
        return Standing{Position{row->next, id, true, row->last}, row->next, id};
    }
    // Of a topic that was there before: the engine sees by its id that this one is read from its first record on.
    return Standing{Position{rows->front().next, rows->front().topic_id, true}, std::nullopt, topic_id};
}

}  // namespace fetcher
