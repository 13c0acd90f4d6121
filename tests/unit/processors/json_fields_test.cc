#include "processors/json_fields.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

using Kind = JsonValue::Kind;

std::string describe(const JsonValue& value) {
    static constexpr const char* kNames[] = {"null", "boolean", "number", "string", "json"};
    return std::string(kNames[static_cast<int>(value.kind)]) + " " + std::string(value.text);
}

std::vector<std::string> read(const std::vector<std::string>& pointers, std::string_view document) {
    JsonFields fields(pointers);
    const auto* values = fields.read(document);
    if (!values) return {"problem: " + fields.problem()};
    std::vector<std::string> all;
    for (const auto& value : *values) all.push_back(describe(value));
    return all;
}

TEST(JsonFields, TakesMembersInAnyOrder) {
    const std::string_view document = R"( {"a": 1.50 , "b":"x","c":true, "d" : null, "e":{"f":[1, 2]}} )";
    EXPECT_EQ(read({"/a", "/b", "/c", "/d", "/e"}, document), (std::vector<std::string>{"number 1.50", "string x", "boolean true", "null ", R"(json {"f":[1, 2]})"}));
    EXPECT_EQ(read({"/e", "/c", "/a", "/a"}, document), (std::vector<std::string>{R"(json {"f":[1, 2]})", "boolean true", "number 1.50", "number 1.50"}));
}

TEST(JsonFields, GoesDeeperAndIntoArrays) {
    EXPECT_EQ(read({"/e/f/1", "/a~1b", "/a"}, R"({"a":0,"a/b":"y","e":{"f":[1,2]}})"), (std::vector<std::string>{"number 2", "string y", "number 0"}));
    EXPECT_EQ(read({"/1", "/9"}, "[1,\"two\"]"), (std::vector<std::string>{"string two", "null "}));
}

TEST(JsonFields, WhatIsNotThereIsNull) {
    EXPECT_EQ(read({"/x", "/a/b/c", "/s/t"}, R"({"a":{},"s":"text"})"), (std::vector<std::string>{"null ", "null ", "null "}));
}

TEST(JsonFields, StringsLoseTheirEscapes) {
    EXPECT_EQ(read({"/a", "/b", "/c/d"}, R"({"a":"q\"\u00e9","b":"\n","c":{"d":"\\"}})"), (std::vector<std::string>{"string q\"é", "string \n", "string \\"}));
}

TEST(JsonFields, SaysWhatIsNoJson) {
    for (const char* document : {"", "{", "{\"a\":", "nonsense", "17", "null", "{\"a\": tru}", "\xff", "{\"a\":\"\xff\"}", "{\"a\":\"open}"})
        EXPECT_EQ(read({"/a"}, document).front().substr(0, 8), "problem:") << document;
}

TEST(JsonFields, OneDocumentLeavesNothingForTheNext) {
    JsonFields fields({"/a", "/b"});
    ASSERT_TRUE(fields.read(R"({"a":1,"b":2})"));
    const auto* values = fields.read(R"({"b":3})");
    ASSERT_TRUE(values);
    EXPECT_EQ(describe((*values)[0]), "null ");
    EXPECT_EQ(describe((*values)[1]), "number 3");
}

}  // namespace
}  // namespace fetcher
