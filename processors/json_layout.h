// JsonLayout: all of one JSON document but its scalars, and which of these are wanted. The documents of a topic mostly come from one
// program and differ in their scalars alone; such a one is read by comparing what stands between them, at less than half of what parsing
// costs. One that fits is JSON, for the learnt one is, and all its scalars are looked at.
//
// No allocation per document. Thread: its owner's
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "processors/json_value.h"

namespace fetcher {

class JsonLayout {
  public:
    // How many bytes behind a document are read, whatever they are.
    static constexpr size_t kPadding = 16;
    // A layout takes memory and time of the size of its document. Of larger ones parsing is a small part of the cost.
    static constexpr size_t kMostBytes = size_t{16} << 10;
    static constexpr size_t kMostScalars = 500;

    // Takes the layout of a document, JSON, in which a parser has found the values; their text lies in it, or they are nowhere. False: there is
    // none to be had, for it is too large, or one of them is no scalar or has escapes; what was learnt before may be forgotten.
    bool learn(std::string_view document, const std::vector<JsonValue>& values);
    // False: the document has another layout, or wants a parser; the values are undefined then. Otherwise they are those that a parser
    // would find.
    bool read(std::string_view document, std::vector<JsonValue>& values) const;

  private:
    struct Word {
        uint64_t bytes = 0;
        uint64_t mask = 0;  // all bits of the bytes that count
    };
    // What stands before a scalar, or behind the last, and who wants that scalar.
    struct Part {
        uint32_t words_end = 0;   // in words_; a part's begin where those of the one before end
        uint32_t wanted_end = 0;  // in wanted_, likewise
        uint32_t size = 0;        // bytes
    };
    void add_part(std::string_view between);

    std::vector<Part> parts_;
    std::vector<Word> words_;
    std::vector<uint32_t> wanted_;  // indices of values, by scalar
    std::vector<uint32_t> absent_;  // indices of those that are nowhere
};

}  // namespace fetcher
