#include "processors/row_encoder.h"

#include <simdjson.h>

#include <cstring>

#include "processors/ndjson_encoder.h"

namespace fetcher {
namespace {

using Part = ColumnSource::Part;

bool is_textual(PgType type) { return type == PgType::text || type == PgType::json || type == PgType::jsonb; }
bool has_nul(std::string_view text) { return std::memchr(text.data(), 0, text.size()) != nullptr; }

}  // namespace

RowEncoder::RowEncoder(RowShape shape) : shape_(std::move(shape)) {
    std::vector<std::string> value_pointers, key_pointers;
    for (const auto& plan : shape_.columns) {
        auto& list = plan.source.part == Part::key ? key_pointers : value_pointers;
        fields_.push_back(list.size());
        if (plan.source.is_json()) list.push_back(plan.source.pointer);
    }
    if (!value_pointers.empty()) value_fields_ = std::make_unique<JsonFields>(value_pointers);
    if (!key_pointers.empty()) key_fields_ = std::make_unique<JsonFields>(key_pointers);
}

std::optional<std::string> RowEncoder::read_json(const Record& record) {
    value_json_ = key_json_ = nullptr;
    if (value_fields_ && record.value()) {
        value_json_ = value_fields_->read(*record.value(), record.readable_after_value());
        if (!value_json_) return "its value is not JSON: " + value_fields_->problem();
    }
    if (key_fields_ && record.key()) {
        key_json_ = key_fields_->read(*record.key());
        if (!key_json_) return "its key is not JSON: " + key_fields_->problem();
    }
    return std::nullopt;
}

std::optional<std::string> RowEncoder::append(const Record& record, const Assignment& assignment, uint32_t move, RowBlock& into) {
    if (auto problem = read_json(record)) return problem;
    ByteBuffer& bytes = into.bytes();
    const size_t begin = bytes.size();
    const auto columns = static_cast<uint16_t>(shape_.columns.size() + (shape_.delete_on_null ? 1 : 0) + (shape_.ordinal ? 1 : 0));
    pg::put(bytes.room(2), columns);
    bytes.commit(2);
    key_.clear();
    for (size_t column = 0; column < shape_.columns.size(); column++) {
        const size_t at = bytes.size();
        if (!append_column(column, record, assignment, bytes)) {
            bytes.truncate(begin);
            return problem_;
        }
        if (!shape_.upsert || !shape_.columns[column].is_key) continue;
        const auto value = bytes.view().substr(at);
        if (value == std::string_view("\xFF\xFF\xFF\xFF", 4)) {
            bytes.truncate(begin);
            return "its key column \"" + shape_.columns[column].name + "\" is null";
        }
        key_ += value;
    }
    if (shape_.delete_on_null) pg::append_bytes(record.value() ? std::string_view("\0", 1) : std::string_view("\1", 1), bytes);
    if (shape_.ordinal) pg::append_integer(PgType::int8, static_cast<int64_t>(into.rows().size()), bytes);
    const uint32_t key_id = shape_.upsert ? key_ids_.emplace(key_, static_cast<uint32_t>(key_ids_.size())).first->second : RowBlock::kNoKey;
    into.add_row(begin, record.offset(), move, key_id);
    return std::nullopt;
}

bool RowEncoder::append_column(size_t column, const Record& record, const Assignment& assignment, ByteBuffer& into) {
    const ColumnPlan& plan = shape_.columns[column];
    if (plan.source.is_json()) {
        const auto* fields = plan.source.part == Part::key ? key_json_ : value_json_;
        static const JsonValue kNull;
        return append_json(plan, fields ? (*fields)[fields_[column]] : kNull, into);
    }
    switch (plan.source.part) {
        case Part::topic: return append_raw(plan, assignment.topic, into);
        case Part::partition: return pg::append_integer(plan.type, assignment.partition, into) || refuse(plan, "the partition does not fit");
        case Part::offset: return pg::append_integer(plan.type, record.offset(), into) || refuse(plan, "the offset does not fit");
        case Part::timestamp:
            if (record.timestamp_ms() < 0) {
                pg::append_null(into);
                return true;
            }
            return pg::append_milliseconds(plan.type, record.timestamp_ms(), into) || refuse(plan, "the timestamp does not fit");
        case Part::key: return append_raw(plan, record.key(), into);
        case Part::value: return append_raw(plan, record.value(), into);
        case Part::headers: return append_headers(plan, record, into);
    }
    return false;
}

bool RowEncoder::append_raw(const ColumnPlan& plan, const std::optional<std::string_view>& bytes, ByteBuffer& into) {
    if (!bytes) {
        pg::append_null(into);
        return true;
    }
    if (is_textual(plan.type)) {
        if (!bytes->empty() && !simdjson::validate_utf8(bytes->data(), bytes->size())) return refuse(plan, "it is not UTF-8; a column of type bytea takes any bytes");
        if (!bytes->empty() && has_nul(*bytes)) return refuse(plan, "it holds a NUL byte, which text cannot; a column of type bytea takes any bytes");
    }
    return pg::append_text_as(plan.type, *bytes, into) || refuse(plan, "it is no value of the column's type");
}

bool RowEncoder::append_json(const ColumnPlan& plan, const JsonValue& value, ByteBuffer& into) {
    if (value.kind == JsonValue::Kind::null) {
        pg::append_null(into);
        return true;
    }
    const bool json_column = plan.type == PgType::json || plan.type == PgType::jsonb;
    if (json_column && value.kind == JsonValue::Kind::string) {
        headers_.clear();  // a string that goes into JSON is JSON again
        NdjsonEncoder::append_text(value.text, headers_);
        return pg::append_text_as(plan.type, headers_.view(), into);
    }
    if (plan.type == PgType::text && value.may_hold_nul && has_nul(value.text)) return refuse(plan, "it holds a NUL byte, which text cannot");
    return pg::append_text_as(plan.type, value.text, into) || refuse(plan, "it is no value of the column's type");
}

bool RowEncoder::append_headers(const ColumnPlan& plan, const Record& record, ByteBuffer& into) {
    if (record.header_count() == 0) {
        pg::append_null(into);
        return true;
    }
    headers_.clear();
    headers_.append('[');
    NdjsonEncoder::append_headers(record, NdjsonEncoder::Nul::as_base64, headers_);
    headers_.append(']');
    return pg::append_text_as(plan.type, headers_.view(), into) || refuse(plan, "headers need a column of type jsonb, json or text");
}

bool RowEncoder::refuse(const ColumnPlan& plan, const std::string& why) {
    problem_ = "for column \"" + plan.name + "\" " + why;
    return false;
}

}  // namespace fetcher
