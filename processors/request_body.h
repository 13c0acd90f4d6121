// RequestBody: a range of records as the body of one request.
//
// single: the record. ndjson: a line each. json_array: [ , , ]. With the envelope a record is what NdjsonEncoder makes of it; without, its value
// as it is, with these exceptions: in ndjson a value that is null, empty or holds a newline, and in json_array every value that is not
// JSON (json_text::is_json), is written as JSON (null, a string, {"base64":"…"} where it is not UTF-8), so that what is framed can be taken apart again.
// Thread: its owner's
#pragma once

#include <string_view>

#include "engine/result.h"
#include "processors/byte_buffer.h"
#include "processors/gzip_writer.h"
#include "processors/ndjson_encoder.h"
#include "processors/partition_feed.h"
#include "processors/zstd_writer.h"

namespace fetcher {

struct BodyFormat {
    enum class Framing { single, ndjson, json_array };
    enum class Compression { none, gzip, zstd };
    Framing framing = Framing::single;
    Compression compression = Compression::none;
    bool envelope = false;
    bool operator==(const BodyFormat&) const = default;

    const char* content_type() const { return framing == Framing::ndjson ? "application/x-ndjson" : "application/json"; }
    const char* content_encoding() const;  // nullptr: none
};

class RequestBody {
  public:
    explicit RequestBody(BodyFormat format);

    // Valid until the next call, and as long as the range's batches.
    Result<std::string_view> encode(const RecordRange& range);

  private:
    std::string_view framed(const RecordRange& range);
    std::string_view value_lines(const RecordRange& range);
    void append_envelope(const Batch& batch, uint32_t i);
    void append_json(const Record& record);

    const BodyFormat format_;
    NdjsonEncoder envelopes_;
    std::unique_ptr<GzipWriter> gzip_;
    std::unique_ptr<ZstdWriter> zstd_;
    ByteBuffer text_;
    ByteBuffer compressed_;
};

}  // namespace fetcher
