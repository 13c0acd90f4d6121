// JsonFields: the values behind a fixed list of JSON pointers, taken from one document after the other with simdjson on demand.
//
// Only what a pointer leads to is looked at closely: a fault elsewhere in a document may pass. No allocation per document once its
// buffers have grown, but for strings with escapes. Thread: its owner's
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fetcher {

struct JsonValue {
    enum class Kind { null, boolean, number, string, json };  // null: also where the pointer leads nowhere
    Kind kind = Kind::null;
    std::string_view text;     // of a string without its quotes and escapes, else the JSON itself
    bool may_hold_nul = true;  // false for strings without escapes: JSON has no control characters in them
};

class JsonFields {
  public:
    explicit JsonFields(std::vector<std::string> pointers);
    ~JsonFields();

    // The values of one document, by pointer; valid until the next call, and no longer than the document. nullptr where it is no JSON: see
    // problem(). readable_after: how many bytes behind it may be read, whatever they are; with enough of them it is not copied.
    const std::vector<JsonValue>* read(std::string_view document, size_t readable_after = 0);
    const std::string& problem() const { return problem_; }

  private:
    struct Parser;
    const char* copy_padded(std::string_view document);
    bool take_members();
    bool take_pointers(const std::vector<size_t>& which);

    const std::vector<std::string> pointers_;
    std::vector<size_t> members_;  // indices of pointers that name a member of the top object
    std::vector<std::string> names_;  // of those members
    std::vector<size_t> deeper_;   // and of the others
    std::unique_ptr<Parser> parser_;
    std::vector<JsonValue> values_;
    std::vector<std::string> unescaped_;  // by pointer
    std::string problem_;
};

}  // namespace fetcher
