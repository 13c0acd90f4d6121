// A value of a column in PostgreSQL's binary format: a four-byte length (-1: null), then the bytes that the type's receive function takes.
//
// Numbers, times and the like come in as text, as JSON and record keys hold them, and are converted here, not by the server. numeric keeps
// every digit. On the data path: no allocation once the buffer has grown.
// Thread: any
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "processors/byte_buffer.h"

namespace fetcher {

enum class PgType { boolean, int2, int4, int8, float4, float8, numeric, text, json, jsonb, bytea, uuid, date, timestamp, timestamptz };

// By its name in pg_type; an enum's is "enum". nullopt: not one that can be written here.
std::optional<PgType> pg_type_named(std::string_view name);
std::string known_pg_types();  // for error texts

namespace pg {

template <class Unsigned>
char* put(char* at, Unsigned value) {
    if constexpr (sizeof value == 2) value = __builtin_bswap16(value);
    if constexpr (sizeof value == 4) value = __builtin_bswap32(value);
    if constexpr (sizeof value == 8) value = __builtin_bswap64(value);
    std::memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

void append_null(ByteBuffer& into);
void append_bytes(std::string_view bytes, ByteBuffer& into);
// False where the number does not fit; nothing is appended then.
bool append_integer(PgType type, int64_t number, ByteBuffer& into);
// Milliseconds since 1970 UTC.
bool append_milliseconds(PgType type, int64_t milliseconds, ByteBuffer& into);
// Text as a value of the type: "12", "-0.5e3", "true", "2025-01-31T12:00:00.5+01:00", JSON. Text types take it as it is, without looking
// whether it is UTF-8. False where it is no such value.
bool append_text_as(PgType type, std::string_view text, ByteBuffer& into);

}  // namespace pg
}  // namespace fetcher
