#include "processors/record_encoder.h"

namespace fetcher {
namespace {

// Written out while it is still in the cache.
constexpr size_t kPieceBytes = size_t{256} << 10;
constexpr size_t kKeptCapacityBytes = size_t{4} << 20;

// The most records from `first` on whose framed values fit into the limit; at least one.
size_t fitting(const Batch& batch, size_t first, size_t limit_bytes) {
    const size_t all_bytes = batch.framed_values(first).size();
    if (all_bytes <= limit_bytes) return batch.size();
    size_t fits = first + 1;
    size_t too_many = batch.size();
    while (too_many - fits > 1) {
        const size_t middle = fits + (too_many - fits) / 2;
        (all_bytes - batch.framed_values(middle).size() <= limit_bytes ? fits : too_many) = middle;
    }
    return fits;
}

}  // namespace

RecordEncoder::Piece RecordEncoder::frame(const Batch& batch, size_t first, size_t limit_bytes) {
    if (format_.framing == Framing::raw) {
        const size_t end = fitting(batch, first, limit_bytes);
        const auto all = batch.framed_values(first);
        return {all.substr(0, all.size() - batch.framed_values(end).size()), end};
    }
    lines_.clear();
    lines_.shrink(kKeptCapacityBytes);
    const size_t end = ndjson_.encode(batch, first, kPieceBytes, limit_bytes, lines_);
    return {lines_.view(), end};
}

Result<std::string_view> RecordEncoder::compress(std::string_view framed) {
    if (format_.compression == Compression::none) return framed;
    if (!zstd_) zstd_ = std::make_unique<ZstdWriter>();
    compressed_.clear();
    compressed_.shrink(kKeptCapacityBytes);
    if (auto done = zstd_->compress(framed, compressed_); !done) return tl::unexpected<Error>(done.error());
    return compressed_.view();
}

Result<std::string_view> RecordEncoder::finish() {
    compressed_.clear();
    if (!zstd_) return compressed_.view();
    if (auto done = zstd_->end_frame(compressed_); !done) return tl::unexpected<Error>(done.error());
    return compressed_.view();
}

}  // namespace fetcher
