// SinkFormat: how records become bytes of a file.
// Thread: any
#pragma once

#include <string>

namespace fetcher {

enum class Framing { raw, ndjson };
enum class Compression { none, zstd };

struct SinkFormat {
    Framing framing = Framing::raw;
    Compression compression = Compression::none;

    // As a checkpoint names it: "raw", "ndjson zstd".
    std::string name() const {
        std::string text = framing == Framing::raw ? "raw" : "ndjson";
        if (compression == Compression::zstd) text.append(" zstd");
        return text;
    }
};

}  // namespace fetcher
