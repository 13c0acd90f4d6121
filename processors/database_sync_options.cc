#include "processors/database_sync_options.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>

#include "processors/database_dsn.h"
#include "processors/secrets.h"

namespace fetcher {
namespace {

using nlohmann::json;

constexpr size_t kMaxNameBytes = 63;  // PostgreSQL cuts longer ones
constexpr std::array<std::pair<const char*, const char*>, 7> kStandardColumns{{{"topic", "$topic"},
                                                                               {"partition", "$partition"},
                                                                               {"offset", "$offset"},
                                                                               {"timestamp", "$timestamp"},
                                                                               {"key", "$key"},
                                                                               {"headers", "$headers"},
                                                                               {"value", "$value"}}};

bool is_name(const std::string& name) { return !name.empty() && name.size() <= kMaxNameBytes && name.find('\0') == std::string::npos; }

// table, schema.table, with names in double quotes as in SQL or without; nullopt: it is no such thing.
std::optional<DatabaseSyncOptions::TableName> table_name(std::string_view text) {
    std::vector<std::string> names;
    for (bool more = true; more;) {
        std::string name;
        const bool quoted = text.starts_with('"');
        if (quoted) text.remove_prefix(1);
        for (; !text.empty() && (quoted || text.front() != '.'); text.remove_prefix(1)) {
            if (quoted && text.front() == '"') {
                if (!text.starts_with("\"\"")) break;
                text.remove_prefix(1);
            }
            name += text.front();
        }
        if (quoted && text.empty()) return std::nullopt;  // not closed
        if (quoted) text.remove_prefix(1);
        more = text.starts_with('.');
        if (!is_name(name) || (!more && !text.empty())) return std::nullopt;
        if (more) text.remove_prefix(1);
        names.push_back(std::move(name));
    }
    if (names.size() > 2) return std::nullopt;
    return DatabaseSyncOptions::TableName{names.size() == 2 ? names.front() : "", names.back()};
}

std::vector<DatabaseSyncOptions::Column> columns_of(const json& config) {
    std::vector<DatabaseSyncOptions::Column> columns;
    if (config.contains("columns")) {
        for (const auto& [name, source] : config["columns"].items())
            if (auto parsed = ColumnSource::parse(source.get<std::string>())) columns.push_back({name, std::move(*parsed)});
    } else {
        for (const auto& [name, source] : kStandardColumns) columns.push_back({name, *ColumnSource::parse(source)});
    }
    return columns;
}

void check_dsn(const std::string& text, const ProcessorEnvironment& environment, std::vector<ConfigProblem>& problems) {
    if (SecretSource::is_reference(text)) return;  // judged when it is used
    const auto dsn = DatabaseDsn::parse(text);
    if (!dsn) return problems.push_back({"/db_dsn", dsn.error().reason});
    if (const auto good = DatabaseDsn::check_values(dsn->keywords(), environment.certificates_dir); !good)
        problems.push_back({"/db_dsn", good.error().reason});
}

void check_columns(const json& config, std::vector<ConfigProblem>& problems) {
    if (!config.contains("columns")) return;
    for (const auto& [name, source] : config["columns"].items()) {
        const std::string pointer = "/columns/" + name;
        if (!is_name(name)) problems.push_back({pointer, "a column's name has 1 to 63 bytes"});
        else if (!ColumnSource::parse(source.get<std::string>())) problems.push_back({pointer, ColumnSource::rule()});
    }
}

void check_keys(const json& config, std::vector<ConfigProblem>& problems) {
    const bool upsert = config.value("mode", "insert") == "upsert";
    const auto keys = config.value("key_columns", std::vector<std::string>{});
    const bool deletes = config.value("delete_on_null", false);
    if (!upsert) {
        if (!keys.empty()) problems.push_back({"/key_columns", "means something in mode upsert only; leave it out or set mode to upsert"});
        if (deletes) problems.push_back({"/delete_on_null", "means something in mode upsert only; leave it out or set mode to upsert"});
        return;
    }
    if (keys.empty()) return problems.push_back({"/key_columns", "is required in mode upsert: the columns that identify a row"});
    const auto columns = columns_of(config);
    std::set<std::string> seen;
    for (size_t i = 0; i < keys.size(); i++) {
        const std::string pointer = "/key_columns/" + std::to_string(i);
        const auto column = std::ranges::find_if(columns, [&](const auto& c) { return c.name == keys[i]; });
        if (!seen.insert(keys[i]).second) problems.push_back({pointer, "is named twice"});
        else if (column == columns.end()) problems.push_back({pointer, "is no column that is written; name one of columns"});
        else if (deletes && !column->source.survives_tombstone())
            problems.push_back({pointer, "comes from the value, which a record that deletes has not; with delete_on_null take key columns from $key"});
    }
}

json number_schema(int64_t least, int64_t most, int64_t standard, const char* description) {
    return {{"type", "integer"}, {"minimum", least}, {"maximum", most}, {"default", standard}, {"description", description}};
}

}  // namespace

json DatabaseSyncOptions::json_schema() {
    const DatabaseSyncOptions standard;
    json p;
    p["db_dsn"] = {{"type", "string"},
                   {"minLength", 1},
                   {"maxLength", 4096},
                   {"writeOnly", true},
                   {"description",
                    "Where PostgreSQL is: postgresql://user:password@host:port/database or \"host=… dbname=… user=…\". Parts of it, or all, may "
                    "be ${secret:NAME}. Answers show *** for a password. Allowed: host, port, dbname, user, password, sslmode, "
                    "connect_timeout, application_name, sslrootcert."}};
    p["table"] = {{"type", "string"},
                  {"minLength", 1},
                  {"maxLength", 127},
                  {"default", standard.table},
                  {"description", "The table, with its schema as in schema.table if need be. Letters count as they are written, with or without double quotes."}};
    p["create_table"] = {{"type", "boolean"},
                         {"default", true},
                         {"description", "Make the table where it is missing, if columns is not given: topic, partition, offset, timestamp, key, headers, value."}};
    p["value_type"] = {{"type", "string"},
                       {"enum", {"text", "jsonb", "bytea"}},
                       {"default", standard.value_type},
                       {"description", "The type of the column value where the table is made; with bytea the key's too."}};
    p["columns"] = {{"type", "object"},
                    {"minProperties", 1},
                    {"maxProperties", 500},
                    {"additionalProperties", {{"type", "string"}, {"maxLength", 1000}}},
                    {"description",
                     "Column -> where its value comes from: a JSON pointer into the value (\"/user/id\") or the key (\"$key/id\"), or $topic, "
                     "$partition, $offset, $timestamp, $key, $headers, $value. The types are those of the table. What is not there is null."}};
    p["mode"] = {{"type", "string"},
                 {"enum", {"insert", "upsert"}},
                 {"default", "insert"},
                 {"description", "insert: a row for each record. upsert: a row for each key, of its last record."}};
    p["key_columns"] = {{"type", "array"},
                        {"minItems", 1},
                        {"maxItems", 32},
                        {"items", {{"type", "string"}}},
                        {"description", "For upsert: the columns that identify a row. The table needs a unique index on exactly these."}};
    p["delete_on_null"] = {{"type", "boolean"}, {"default", false}, {"description", "For upsert: a record without a value deletes the row of its key."}};
    p["workers"] = number_schema(1, 16, static_cast<int64_t>(standard.workers), "Connections that write at the same time; a partition keeps to one.");
    p["max_batch_records"] =
        number_schema(1, 1'000'000, static_cast<int64_t>(standard.max_batch_records), "The most rows of a transaction.");
    p["max_batch_bytes"] = number_schema(64 << 10, 256 << 20, static_cast<int64_t>(standard.max_batch_bytes),
                                         "About the most bytes of a transaction. Up to twice that is held in memory for each worker.");
    p["synchronous_commit"] = {{"type", "string"},
                               {"enum", {"on", "off", "local", "remote_write", "remote_apply"}},
                               {"description",
                                "As PostgreSQL's setting; its own if not given. off is faster and still exactly once: after a crash rows and "
                                "position are gone together and come again from Kafka."}};
    return {{"$schema", "http://json-schema.org/draft-07/schema#"},
            {"type", "object"},
            {"description", "Writes each record to PostgreSQL exactly once: rows and position in one transaction."},
            {"properties", std::move(p)},
            {"required", {"db_dsn"}},
            {"additionalProperties", false}};
}

DatabaseSyncOptions DatabaseSyncOptions::from(const json& config) {
    DatabaseSyncOptions o;
    o.db_dsn = config.at("db_dsn");
    const auto text = config.value("table", o.table);
    auto name = table_name(text).value_or(TableName{"", text});
    o.schema = std::move(name.schema);
    o.table = std::move(name.table);
    o.create_table = config.value("create_table", o.create_table);
    o.value_type = config.value("value_type", o.value_type);
    o.mapped = config.contains("columns");
    o.columns = columns_of(config);
    o.upsert = config.value("mode", "insert") == "upsert";
    o.key_columns = config.value("key_columns", o.key_columns);
    o.delete_on_null = config.value("delete_on_null", o.delete_on_null);
    o.workers = config.value("workers", o.workers);
    o.max_batch_records = config.value("max_batch_records", o.max_batch_records);
    o.max_batch_bytes = config.value("max_batch_bytes", o.max_batch_bytes);
    o.synchronous_commit = config.value("synchronous_commit", o.synchronous_commit);
    return o;
}

std::vector<ConfigProblem> DatabaseSyncOptions::check(const json& config, const ProcessorEnvironment& environment) {
    std::vector<ConfigProblem> problems;
    check_dsn(config.at("db_dsn"), environment, problems);
    if (!table_name(config.value("table", std::string("kafka_messages"))))
        problems.push_back({"/table", "must be a table's name, or schema.table, each of 1 to 63 bytes, in double quotes where it holds a dot"});
    check_columns(config, problems);
    check_keys(config, problems);
    return problems;
}

}  // namespace fetcher
