// JsonFields: the values behind a fixed list of JSON pointers, taken from one document after the other with simdjson on demand, or without
// it where a document is laid out like one before. All of a document must be JSON.
//
// No allocation per document once its buffers have grown, but for strings with escapes. Thread: its owner's
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "processors/json_layout.h"
#include "processors/json_value.h"

namespace fetcher {

class JsonFields {
  public:
    explicit JsonFields(const std::vector<std::string>& pointers);
    ~JsonFields();

    // The values of one document, by pointer; valid until the next call, and no longer than the document. nullptr where it is no JSON: see
    // problem(). readable_after: how many bytes behind it may be read, whatever they are; with enough of them it is not copied.
    const std::vector<JsonValue>* read(std::string_view document, size_t readable_after = 0);
    const std::string& problem() const { return problem_; }
    // Whether the last one had to be parsed.
    bool parsed() const { return parsed_; }

  private:
    struct Parser;
    const char* copy_padded(std::string_view document);
    bool parse(std::string_view padded);
    bool fits(std::string_view padded);
    void learn(std::string_view padded);
    void to_front(size_t i);
    bool take_members();
    bool take_pointers(const std::vector<size_t>& which);

    std::vector<std::vector<std::string>> paths_;  // pointers, by token
    std::vector<size_t> members_;  // indices of pointers that name a member of the top object
    std::vector<size_t> deeper_;   // and of the others
    std::unique_ptr<Parser> parser_;
    std::vector<JsonValue> values_;
    std::vector<std::string> unescaped_;  // by pointer
    static constexpr size_t kLayouts = 4;
    std::array<JsonLayout, kLayouts> layouts_;
    std::array<uint8_t, kLayouts> order_{0, 1, 2, 3};  // of layouts_: the one that fitted last first
    unsigned misses_ = 0;  // documents in a row that fitted none
    unsigned pause_ = 0;   // how many are not tried
    bool parsed_ = false;
    std::string problem_;
};

}  // namespace fetcher
