#include "processors/request_body.h"

#include <simdjson.h>

#include <cstring>

#include "processors/json_text.h"

namespace fetcher {
namespace {

using Framing = BodyFormat::Framing;
using Compression = BodyFormat::Compression;

constexpr size_t kKeptCapacityBytes = size_t{4} << 20;

bool has_newline(std::string_view text) { return std::memchr(text.data(), '\n', text.size()) != nullptr; }

// Whether a value is a line as it is.
bool is_line(const std::optional<std::string_view>& value) { return value && !value->empty() && !has_newline(*value); }

// The first record from `first` on whose value is none.
uint32_t end_of_lines(const Batch& batch, uint32_t first, uint32_t end) {
    while (first < end && is_line(batch.record(first).value())) first++;
    return first;
}

std::string_view framed_values(const Batch& batch, uint32_t first, uint32_t end) {
    return batch.framed_values(first).substr(0, batch.bytes(first, end, false));
}

}  // namespace

const char* BodyFormat::content_encoding() const {
    switch (compression) {
        case Compression::gzip: return "gzip";
        case Compression::zstd: return "zstd";
        case Compression::none: break;
    }
    return nullptr;
}

RequestBody::RequestBody(BodyFormat format) : format_(format) {
    if (format_.compression == Compression::gzip) gzip_ = std::make_unique<GzipWriter>();
    if (format_.compression == Compression::zstd) zstd_ = std::make_unique<ZstdWriter>();
}

Result<std::string_view> RequestBody::encode(const RecordRange& range) {
    const auto text = framed(range);
    if (format_.compression == Compression::none) return text;
    compressed_.clear();
    compressed_.shrink(kKeptCapacityBytes);
    auto done = gzip_ ? gzip_->compress(text, compressed_) : zstd_->compress(text, compressed_);
    if (done && zstd_) done = zstd_->end_frame(compressed_);
    if (!done) return tl::unexpected<Error>(std::move(done.error()));
    return compressed_.view();
}

std::string_view RequestBody::framed(const RecordRange& range) {
    text_.clear();
    text_.shrink(kKeptCapacityBytes);
    if (format_.framing == Framing::single) {
        const auto& piece = range.pieces.front();
        if (!format_.envelope) return piece.batch->record(piece.first).value().value_or(std::string_view());
        append_envelope(*piece.batch, piece.first);
        return text_.view();
    }
    const bool lines = format_.framing == Framing::ndjson;
    if (lines && !format_.envelope) return value_lines(range);
    if (!lines) text_.append('[');
    for (const auto& [batch, first, end] : range.pieces) {
        for (uint32_t i = first; i < end; i++) {
            if (format_.envelope) append_envelope(*batch, i);
            else append_json(batch->record(i));
            text_.append(lines ? '\n' : ',');
        }
    }
    if (!lines) {
        text_.truncate(text_.size() - 1);
        text_.append(']');
    }
    return text_.view();
}

// Runs of values that are lines as they are lie in the batch as they are sent; what is one such run is not copied.
std::string_view RequestBody::value_lines(const RecordRange& range) {
    for (const auto& [batch, first, end] : range.pieces) {
        for (uint32_t i = first; i < end; i++) {
            const uint32_t run_end = end_of_lines(*batch, i, end);
            const auto run = framed_values(*batch, i, run_end);
            if (run_end == end && i == first && range.pieces.size() == 1) return run;
            text_.append(run);
            i = run_end;
            if (i == end) break;
            append_json(batch->record(i));
            text_.append('\n');
        }
    }
    return text_.view();
}

void RequestBody::append_envelope(const Batch& batch, uint32_t i) {
    envelopes_.encode(batch, i, 0, SIZE_MAX, text_);
    text_.truncate(text_.size() - 1);  // its newline
}

void RequestBody::append_json(const Record& record) {
    const auto value = record.value();
    if (!value) return text_.append("null");
    if (value->empty() || !json_text::is_json(*value)) return NdjsonEncoder::append_text(*value, text_);
    if (!has_newline(*value)) return text_.append(*value);
    size_t bytes = 0;
    char* const to = text_.room(value->size() + simdjson::SIMDJSON_PADDING);
    if (simdjson::minify(value->data(), value->size(), to, bytes) == simdjson::SUCCESS) text_.commit(bytes);
    else NdjsonEncoder::append_text(*value, text_);
}

}  // namespace fetcher
