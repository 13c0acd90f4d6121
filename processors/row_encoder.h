// RowEncoder: records as rows of one table in the format of COPY … BINARY.
// On the data path: no allocation per record once its buffers have grown, but for keys of an upsert. Thread: its owner's
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/batch.h"
#include "processors/column_source.h"
#include "processors/json_fields.h"
#include "processors/pg_value.h"
#include "processors/row_block.h"

namespace fetcher {

struct ColumnPlan {
    std::string name;
    ColumnSource source;
    PgType type = PgType::text;
    bool is_key = false;  // of an upsert
};

struct RowShape {
    std::vector<ColumnPlan> columns;
    bool upsert = false;
    bool delete_on_null = false;  // behind the columns stands a boolean: true deletes the key
    bool ordinal = false;         // rows end with their number: of keys that differ in bytes PostgreSQL finds those that are equal to it
};

class RowEncoder {
  public:
    explicit RowEncoder(RowShape shape);

    // Appends one row. What is wrong with the record, for a person, or nullopt; nothing is appended then.
    std::optional<std::string> append(const Record& record, const Assignment& assignment, uint32_t move, RowBlock& into);
    // Keys of another block have other numbers.
    void begin_block() { key_ids_.clear(); }

  private:
    bool append_column(size_t column, const Record& record, const Assignment& assignment, ByteBuffer& into);
    bool append_json(const ColumnPlan& plan, const JsonValue& value, ByteBuffer& into);
    bool append_raw(const ColumnPlan& plan, const std::optional<std::string_view>& bytes, ByteBuffer& into);
    bool append_headers(const ColumnPlan& plan, const Record& record, ByteBuffer& into);
    std::optional<std::string> read_json(const Record& record);
    bool refuse(const ColumnPlan& plan, const std::string& why);

    const RowShape shape_;
    std::vector<size_t> fields_;  // by column: the index of its pointer among those of its part
    std::unique_ptr<JsonFields> value_fields_, key_fields_;
    const std::vector<JsonValue>* value_json_ = nullptr;  // of the record at hand; nullptr: it is null
    const std::vector<JsonValue>* key_json_ = nullptr;
    ByteBuffer headers_;
    std::string key_;
    std::unordered_map<std::string, uint32_t> key_ids_;
    std::string problem_;
};

}  // namespace fetcher
