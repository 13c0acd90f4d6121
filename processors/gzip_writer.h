// GzipWriter: text to one gzip member, with a reused compressor.
// Thread: its owner's
#pragma once

#include <memory>
#include <string_view>

#include "engine/result.h"
#include "processors/byte_buffer.h"

namespace fetcher {

class GzipWriter {
  public:
    GzipWriter();
    ~GzipWriter();
    GzipWriter(const GzipWriter&) = delete;
    GzipWriter& operator=(const GzipWriter&) = delete;

    Result<void> compress(std::string_view text, ByteBuffer& into);  // appends

  private:
    struct Stream;
    std::unique_ptr<Stream> stream_;
};

}  // namespace fetcher
