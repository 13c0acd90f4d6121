// NdjsonEncoder: records as lines of JSON, each an envelope with everything that Kafka keeps of a record:
//
//   {"topic":"t","partition":0,"offset":7,"timestamp":1700000000000,"key":"k","headers":[{"name":"n","value":"v"}],"value":"…"}
//
// timestamp: milliseconds since 1970 UTC, -1 if the record has none. key, value, header name and header value: a JSON string where the
// bytes are UTF-8, else the object {"base64":"…"} (a string of the producer's is always a JSON string, so the two cannot be mistaken),
// null where Kafka has null. Headers keep their order; a name may repeat.
// On the data path: no allocation per record once the buffer has grown. Thread: its owner's
#pragma once

#include <string>

#include "engine/batch.h"
#include "processors/byte_buffer.h"

namespace fetcher {

class NdjsonEncoder {
  public:
    // Appends lines of records [first, …) until `into` holds `enough_bytes`, the next line would take it beyond `limit_bytes`, or the
    // batch ends; at least one. Returns the index of the first record not encoded.
    size_t encode(const Batch& batch, size_t first, size_t enough_bytes, size_t limit_bytes, ByteBuffer& into);

    // PostgreSQL's jsonb takes no NUL, not even escaped.
    enum class Nul { escaped, as_base64 };

    // Appends `text` as described above.
    static void append_text(std::string_view text, ByteBuffer& into, Nul nul = Nul::escaped);
    // The headers as objects separated by commas.
    static void append_headers(const Record& record, Nul nul, ByteBuffer& into);

  private:
    void append_record(const Record& record, ByteBuffer& into);
    void begin_partition(const Assignment& assignment);

    std::string prefix_;  // {"topic":"t","partition":0,"offset":
    std::string topic_;
    int32_t partition_ = -1;
};

}  // namespace fetcher
