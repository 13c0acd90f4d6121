// SecretSource: what ${secret:NAME} in an option stands for. Looked up each time it is used, so a changed secret counts from the next
// connection on, and nothing but the reference is ever stored, shown or logged.
//
// A reference resolves from the file NAME in SECRETS_DIR or from the environment's FETCHER_SECRET_NAME (in capitals), from nothing else.
// Thread: any; immutable
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/result.h"

namespace fetcher {

class SecretSource {
  public:
    explicit SecretSource(std::string folder) : folder_(std::move(folder)) {}  // empty: only the environment

    // The text with each reference replaced. An error names the secret and where it was looked for, never a value. `looked_up`: what was put in.
    Result<std::string> resolve(std::string_view text, std::vector<std::string>* looked_up = nullptr) const;

    // The length of the reference that `text` begins with; 0: it begins with none.
    static size_t reference_length(std::string_view text);
    static bool has_reference(std::string_view text);
    // Whether it is nothing but one reference.
    static bool is_reference(std::string_view text) { return !text.empty() && reference_length(text) == text.size(); }

  private:
    Result<std::string> look_up(const std::string& name) const;

    const std::string folder_;
};

// Values that came from secrets, and what is shown in their place.
class HiddenValues {
  public:
    void add(const std::string& value, std::string shown);
    std::string hide(std::string text) const;
    bool operator==(const HiddenValues&) const = default;

  private:
    std::vector<std::pair<std::string, std::string>> values_;  // longer ones first: one may be part of another
};

}  // namespace fetcher
