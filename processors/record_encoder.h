// RecordEncoder: a batch's records as the bytes of a file in its SinkFormat, up to a limit. Raw values are not copied.
// Thread: its owner's
#pragma once

#include <string_view>

#include "engine/batch.h"
#include "engine/result.h"
#include "processors/byte_buffer.h"
#include "processors/ndjson_encoder.h"
#include "processors/sink_format.h"
#include "processors/zstd_writer.h"

namespace fetcher {

class RecordEncoder {
  public:
    explicit RecordEncoder(SinkFormat format) : format_(format) {}

    struct Piece {
        std::string_view bytes;  // framed, not compressed; valid until the next call, or as long as the batch
        size_t end = 0;          // index of the first record not in it
    };
    // Records [first, end) of the batch, at least one (which alone may be larger than limit_bytes).
    Piece frame(const Batch& batch, size_t first, size_t limit_bytes);

    // What a piece becomes in the file; valid until the next call. With zstd the rest of it stays inside until finish().
    Result<std::string_view> compress(std::string_view framed);
    // What completes the zstd frame; empty if there is none.
    Result<std::string_view> finish();

  private:
    const SinkFormat format_;
    NdjsonEncoder ndjson_;
    std::unique_ptr<ZstdWriter> zstd_;  // made when first used: it is large
    ByteBuffer lines_;
    ByteBuffer compressed_;
};

}  // namespace fetcher
