// ZstdWriter: a reused streaming compressor that makes a sequence of frames. A frame is complete after end_frame(); a file cut there is
// a file that zstdcat reads.
// Thread: its owner's
#pragma once

#include <memory>
#include <string_view>

#include "engine/result.h"
#include "processors/byte_buffer.h"

struct ZSTD_CCtx_s;

namespace fetcher {

class ZstdWriter {
  public:
    ZstdWriter();

    // Appends what is ready of the compressed text to `into`; the rest stays inside.
    Result<void> compress(std::string_view text, ByteBuffer& into);
    // Completes the frame, if one has begun.
    Result<void> end_frame(ByteBuffer& into);
    bool in_frame() const { return in_frame_; }

  private:
    struct Free {
        void operator()(ZSTD_CCtx_s* context) const;
    };
    std::unique_ptr<ZSTD_CCtx_s, Free> context_;
    bool in_frame_ = false;
};

}  // namespace fetcher
