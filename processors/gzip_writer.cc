#include "processors/gzip_writer.h"

#include <zlib.h>

namespace fetcher {
namespace {

constexpr int kGzip = 15 + 16;  // largest window, gzip's own header
constexpr int kMemoryLevel = 8;

}  // namespace

struct GzipWriter::Stream {
    z_stream z{};
};

GzipWriter::GzipWriter() : stream_(std::make_unique<Stream>()) {
    const int made = deflateInit2(&stream_->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, kMemoryLevel, Z_DEFAULT_STRATEGY);
    FETCHER_INVARIANT(made == Z_OK, "memory for a gzip compressor");
}

GzipWriter::~GzipWriter() { deflateEnd(&stream_->z); }

Result<void> GzipWriter::compress(std::string_view text, ByteBuffer& into) {
    auto& z = stream_->z;
    deflateReset(&z);
    const size_t most = deflateBound(&z, text.size());
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // it only reads
    z.avail_in = static_cast<uInt>(text.size());
    z.next_out = reinterpret_cast<Bytef*>(into.room(most));
    z.avail_out = static_cast<uInt>(most);
    if (deflate(&z, Z_FINISH) != Z_STREAM_END) return fatal("gzip: the records cannot be compressed");
    into.commit(most - z.avail_out);
    return {};
}

}  // namespace fetcher
