#include "processors/json_layout.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "processors/json_text.h"

namespace fetcher {
namespace {

using Kind = JsonValue::Kind;

uint64_t load(const char* at) {
    uint64_t bytes;
    std::memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

Kind kind_of(char first) {
    switch (first) {
        case '"': return Kind::string;
        case 't':
        case 'f': return Kind::boolean;
        case 'n': return Kind::null;
        default: return Kind::number;
    }
}

}  // namespace

bool JsonLayout::read(std::string_view document, std::vector<JsonValue>& values) const {
    if (parts_.empty()) return false;
    const char* at = document.data();
    const char* const end = at + document.size();
    const Word* word = words_.data();
    const uint32_t* wanted = wanted_.data();
    bool ascii = true;
    for (const auto& part : parts_) {
        if (end - at < static_cast<ptrdiff_t>(part.size)) return false;
        const char* const begin = at + part.size;
        for (const Word* const stop = words_.data() + part.words_end; word != stop; word++, at += sizeof word->bytes)
            if (((load(at) ^ word->bytes) & word->mask) != 0) return false;
        at = begin;
        if (&part == &parts_.back()) break;
        json_text::StringTraits traits;
        at = json_text::skip_scalar(at, end, end + kPadding, traits);
        if (!at) return false;
        ascii &= traits.ascii;
        const uint32_t* const wanted_end = wanted_.data() + part.wanted_end;
        if (wanted == wanted_end) continue;
        if (traits.escapes) return false;
        const Kind kind = kind_of(*begin);
        const char* const text = begin + (kind == Kind::string ? 1 : 0);
        const char* const text_end = kind == Kind::string ? at - 1 : kind == Kind::null ? begin : at;
        for (; wanted != wanted_end; wanted++) set(values[*wanted], kind, {text, text_end});
    }
    if (at != end || (!ascii && !simdjson::validate_utf8(document.data(), document.size()))) return false;
    for (const uint32_t index : absent_) values[index] = {};
    return true;
}

void JsonLayout::add_part(std::string_view between) {
    for (size_t at = 0; at < between.size(); at += sizeof(uint64_t)) {
        std::array<char, sizeof(uint64_t)> bytes{}, mask{};
        const auto piece = between.substr(at, sizeof(uint64_t));
        std::ranges::copy(piece, bytes.begin());
        std::fill_n(mask.begin(), piece.size(), '\xFF');
        words_.push_back({load(bytes.data()), load(mask.data())});
    }
    parts_.push_back({static_cast<uint32_t>(words_.size()), static_cast<uint32_t>(wanted_.size()), static_cast<uint32_t>(between.size())});
}

bool JsonLayout::learn(std::string_view document, const std::vector<JsonValue>& values) {
    if (document.size() > kMostBytes || std::ranges::any_of(values, [](const auto& value) { return value.kind == Kind::json || value.may_hold_nul; })) return false;
    parts_.clear(), words_.clear(), wanted_.clear(), absent_.clear();
    for (uint32_t i = 0; i < values.size(); i++)
        if (!values[i].text.data()) absent_.push_back(i);
    const char* const end = document.data() + document.size();
    const char* between = document.data();
    for (const char* at = between; at < end && parts_.size() <= kMostScalars + 1;) {
        if (std::string_view("{}[]:, \n\t\r").find(*at) != std::string_view::npos) {
            at++;
            continue;
        }
        const char* const begin = at;
        json_text::StringTraits traits;
        at = json_text::skip_scalar(at, end, end, traits);
        if (!at) break;
        if (const char* const next = json_text::skip_space(at, end); next < end && *next == ':') continue;  // a member's name
        for (uint32_t i = 0; i < values.size(); i++)
            if (values[i].text.data() == begin + (values[i].kind == Kind::string ? 1 : 0)) wanted_.push_back(i);
        add_part({between, begin});
        between = at;
    }
    add_part({between, end});
    if (parts_.size() <= kMostScalars + 1 && wanted_.size() + absent_.size() == values.size()) return true;
    parts_.clear();
    return false;
}

}  // namespace fetcher
