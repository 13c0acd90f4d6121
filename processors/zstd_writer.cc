#include "processors/zstd_writer.h"

#include <zstd.h>

namespace fetcher {
namespace {

constexpr int kLevel = 3;

// Feeds `input` until it is taken (continue) or the frame is complete (end).
Result<void> run(ZSTD_CCtx* context, std::string_view input, ZSTD_EndDirective mode, ByteBuffer& into) {
    const size_t step_bytes = ZSTD_CStreamOutSize();
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    for (;;) {
        ZSTD_outBuffer out{into.room(step_bytes), step_bytes, 0};
        const size_t left = ZSTD_compressStream2(context, &out, &in, mode);
        into.commit(out.pos);
        if (ZSTD_isError(left)) return fatal(std::string("zstd: ") + ZSTD_getErrorName(left));
        const bool done = mode == ZSTD_e_end ? left == 0 : in.pos == in.size;
        if (done) return {};
    }
}

}  // namespace

void ZstdWriter::Free::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }

ZstdWriter::ZstdWriter() : context_(ZSTD_createCCtx()) {
    FETCHER_INVARIANT(context_ != nullptr, "memory for a zstd compressor");
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kLevel);
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
}

Result<void> ZstdWriter::compress(std::string_view text, ByteBuffer& into) {
    if (text.empty()) return {};
    in_frame_ = true;
    return run(context_.get(), text, ZSTD_e_continue, into);
}

Result<void> ZstdWriter::end_frame(ByteBuffer& into) {
    if (!in_frame_) return {};
    in_frame_ = false;
    return run(context_.get(), {}, ZSTD_e_end, into);
}

}  // namespace fetcher
