// A document that fits the layout of another is read like one that is parsed.
#include "processors/json_layout.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "processors/json_fields.h"

namespace fetcher {
namespace {

using Values = std::vector<JsonValue>;
using Pointers = std::vector<std::string>;

std::string describe(const JsonValue& value) {
    return std::to_string(static_cast<int>(value.kind)) + (value.may_hold_nul ? "?" : " ") + (value.text.data() ? std::string(value.text) : "nowhere");
}

std::vector<std::string> describe(const Values& values) {
    std::vector<std::string> all;
    for (const auto& value : values) all.push_back(describe(value));
    return all;
}

// In memory of its own, with behind it what a careless reader would go on with.
class Padded {
  public:
    explicit Padded(std::string_view document, std::string_view behind = "\"}") : size_(document.size()), text_(document) {
        while (text_.size() < size_ + JsonLayout::kPadding + behind.size()) text_ += behind;
        text_.resize(size_ + JsonLayout::kPadding);
        text_.shrink_to_fit();
    }
    std::string_view view() const { return std::string_view(text_).substr(0, size_); }

  private:
    size_t size_;
    std::string text_;
};

class Learnt {
  public:
    Learnt(const Pointers& pointers, std::string_view document) : document_(document), values_(pointers.size()) {
        JsonFields parser(pointers);
        const std::string around = std::string(document_.view()) + std::string(64, ' ');
        const std::string_view there(around.data(), document_.view().size());
        const auto* found = parser.read(there, 64);
        can = found && layout_.learn(there, *found);
    }
    // "": it does not fit.
    std::string read(std::string_view document, std::string_view behind = "\"}") {
        const Padded padded(document, behind);
        if (!layout_.read(padded.view(), values_)) return "";
        std::string words;
        for (const auto& value : values_) words += (words.empty() ? "" : ", ") + describe(value);
        return words;
    }
    bool can = false;

  private:
    const Padded document_;
    JsonLayout layout_;
    Values values_;
};

const Pointers kPointers{"/id", "/name", "/user/age", "/list/1", "/none", "/ok"};
constexpr std::string_view kDocument = R"({"id":1,"name":"one","user":{"age":-2.5e3,"x":null},"list":[true,"b"],"ok":false,"note":"n"})";

TEST(JsonLayout, ADocumentThatDiffersInItsScalarsFits) {
    Learnt layout(kPointers, kDocument);
    ASSERT_TRUE(layout.can);
    EXPECT_EQ(layout.read(kDocument), "2 1, 3 one, 2 -2.5e3, 3 b, 0 nowhere, 1 false");
    EXPECT_EQ(layout.read(R"({"id":"","name":null,"user":{"age":true,"x":"a longer one, \\ of \" more than \u00Fc sixteen"},"list":[0,1234567890123456789],"ok":null,"note":"ü"})"),
              "3 , 0 , 1 true, 2 1234567890123456789, 0 nowhere, 0 ");
}

TEST(JsonLayout, AnotherStructureDoesNotFit) {
    Learnt layout(kPointers, kDocument);
    const std::string same(kDocument);
    for (const auto& [what, by] : std::vector<std::pair<std::string, std::string>>{{"\"id\"", "\"iD\""}, {"\"b\"]", "\"b\",1]"}, {"\"n\"}", "\"n\" }"}, {"\"n\"}", "\"n\"} "},
                                                                                   {"\"n\"}", "\"n\"}{"}, {"{\"id\"", " {\"id\""}, {"-2.5e3", "[1]"}, {"\"one\"", "{}"},
                                                                                   {"\"x\":null", "\"x\":nul"}, {"false", "False"}, {"true", "trux"}, {"\"n\"", "n"}}) {
        std::string other = same;
        other.replace(other.find(what), what.size(), by);
        EXPECT_EQ(layout.read(other), "") << other;
    }
    for (size_t size = 0; size < same.size(); size++)
        for (const char* behind : {"\"}", "1", "e", "\"n\"}", "\\"}) EXPECT_EQ(layout.read(same.substr(0, size), behind), "") << size << behind;
}

TEST(JsonLayout, AStringThatWantsAParserDoesNotFit) {
    Learnt layout({"/a"}, R"({"a":"x","b":"y"})");
    EXPECT_EQ(layout.read(R"({"a":"\n","b":"y"})"), "");
    EXPECT_EQ(layout.read(R"({"a":"x","b":"\n\\"})"), "3 x");
    EXPECT_EQ(layout.read("{\"a\":\"\xC3\xBC\",\"b\":\"y\"}"), "3 \xC3\xBC");
    for (const char* bad : {"{\"a\":\"\xC3\",\"b\":\"y\"}", "{\"a\":\"x\",\"b\":\"\xFF\"}", "{\"a\":\"x\n\",\"b\":\"y\"}", "{\"a\":\"x\",\"b\":\"y\t\"}", "{\"a\":\"x\",\"b\":\"y\\\n\"}", R"({"a":"x","b":"\q"})", R"({"a":"x","b":"\u12G4"})", R"({"a":"x","b":"\u123)",
                            R"({"a":01,"b":"y"})", R"({"a":-,"b":"y"})", R"({"a":1.,"b":"y"})", R"({"a":1e+,"b":"y"})", R"({"a":.5,"b":"y"})", R"({"a":+1,"b":"y"})"})
        EXPECT_EQ(layout.read(bad), "") << bad;
    EXPECT_EQ(layout.read(std::string_view("{\"a\":\"\0\",\"b\":\"y\"}", 17)), "");
}

TEST(JsonLayout, WhatIsNoScalarCannotBeLearnt) {
    EXPECT_FALSE(Learnt({"/a"}, R"({"a":{"b":1}})").can);
    EXPECT_FALSE(Learnt({"/a"}, R"({"a":"\n"})").can);
    EXPECT_TRUE(Learnt({"/a/b"}, R"({"a":{"b":null}})").can);
    EXPECT_TRUE(Learnt({"/b", "/a", "/b"}, R"({"a":1,"b":2})").can);
    EXPECT_EQ(Learnt({"/b", "/a", "/b"}, R"({"a":1,"b":2})").read(R"({"a":3,"b":4})"), "2 4, 2 3, 2 4");
    std::string many = R"({"a":1,"b":[0)";
    for (size_t i = 0; i < JsonLayout::kMostScalars; i++) many += ",1";
    EXPECT_FALSE(Learnt({"/a"}, many + "]}").can);
    EXPECT_FALSE(Learnt({"/a"}, "{\"a\":1" + std::string(JsonLayout::kMostBytes, ' ') + "}").can);
    Learnt none({"/a"}, R"({"a":[]})");
    EXPECT_EQ(none.read(R"({"a":[]})"), "");
}

// Bytes of documents are changed at random: with what was learnt from those before, each is read as by one who sees it first.
TEST(JsonFields, WhatWasReadBeforeChangesNothing) {
    const std::vector<std::string> seeds{std::string(kDocument), R"({"name":"x","id":17})", " { \"id\" : 1.5 , \"user\" : { \"age\" : \"\xC3\xBC\" } } \n",
                                         R"([{"id":1},"two",[3]])", R"({"id":"a\u00e9\"b","name":"","user":{"age":{}},"list":[],"ok":0})"};
    const std::string alphabet = "\"\"\"\\{}[]:,, 0123456789eE+-.truefalsn\n\t\xC3\xBC\xFF" + std::string(1, '\0');
    std::mt19937 random(20261127);
    const auto below = [&](size_t n) { return random() % n; };
    size_t read = 0, refused = 0;
    for (const auto& seed : seeds) {
        JsonFields experienced(kPointers);
        for (int i = 0; i < 4'000; i++) {
            std::string document = seed;
            if (i % 3 == 0)
                for (size_t changes = 1 + below(3); changes > 0 && !document.empty(); changes--) {
                    const size_t at = below(document.size());
                    switch (below(4)) {
                        case 0: document.erase(at, 1 + below(3)); break;
                        case 1: document.insert(at, 1, alphabet[below(alphabet.size())]); break;
                        case 2: document.resize(at); break;
                        default: document[at] = alphabet[below(alphabet.size())];
                    }
                }
            const std::string around = document + (below(2) ? "\"}" : "1") + seed + std::string(64, '"');
            const std::string_view there(around.data(), document.size());
            JsonFields fresh(kPointers);
            const auto* expected = fresh.read(there, around.size() - document.size());
            const auto* found = experienced.read(there, around.size() - document.size());
            ASSERT_EQ(found != nullptr, expected != nullptr) << document << "\n" << fresh.problem() << "\n" << experienced.problem();
            (found ? read : refused)++;
            if (!found) continue;
            EXPECT_EQ(describe(*found), describe(*expected)) << document;
        }
    }
    EXPECT_GT(read, 13'000U);
    EXPECT_GT(refused, 1'000U);
}

}  // namespace
}  // namespace fetcher
