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

// On demand, simdjson passes over the first in silence and reads beyond the second.
TEST(JsonFields, AllOfADocumentMustBeJson) {
    for (const char* document : {R"({"a":1,"x":{1,"y":2},"b":3})", R"({"x":{1,"b":2,"a":3})", R"({"a":1,"b":2,"x":tru})", R"({"a":1,"b":2,"x":"\q"})", R"({"a":1,"b":2,"x":1.})",
                                 R"({"a":1,"b":2}{"a":1})", R"({"a":1,"b":2,})", R"({"x":[1 2],"a":1,"b":2})"}) {
        EXPECT_EQ(read({"/a", "/b"}, document).front().substr(0, 8), "problem:") << document;
        EXPECT_EQ(read({"/b", "/a"}, document).front().substr(0, 8), "problem:") << document;
        EXPECT_EQ(read({"/x/y", "/c"}, document).front().substr(0, 8), "problem:") << document;
    }
}

TEST(JsonFields, DocumentsOfAFewLayoutsAreNotParsed) {
    JsonFields fields({"/a"});
    const auto parsed = [&](const std::string& document) { return !fields.read(document) || fields.parsed(); };
    for (int i = 0; i < 20; i++) {
        for (const char* layout : {R"({"a":%})", R"({"a":%,"b":"%"})", R"({ "b":null, "a":%})", R"([{"b":%}])"}) {
            std::string document = layout;
            for (size_t at; (at = document.find('%')) != std::string::npos;) document.replace(at, 1, std::to_string(i * 1'000));
            EXPECT_EQ(parsed(document), i == 0) << document;
        }
    }
    // What cannot be learnt is no reason to forget what was.
    const std::string large = "{\"a\":1,\"b\":[0" + std::string(20'000, ' ') + "]}", escaped = R"({"a":"\n"})";
    for (int i = 0; i < 5; i++) {
        EXPECT_TRUE(parsed(large));
        EXPECT_TRUE(parsed(escaped));
        EXPECT_FALSE(parsed(R"({"a":1})"));
    }
    // Where each has a layout of its own it costs little to find that out, and what comes to rest is noticed.
    for (int i = 0; i < 100; i++) EXPECT_TRUE(parsed("{\"a\":1,\"b" + std::to_string(i) + "\":2}"));
    int until = 0;
    while (until < 20'000 && parsed("{\"a\":" + std::to_string(until) + ",\"c\":3}")) until++;
    EXPECT_LT(until, 10'000);
    EXPECT_FALSE(parsed(R"({"a":"x","c":true})"));
}

TEST(JsonFields, OfMembersWithOneNameTheFirstCounts) {
    EXPECT_EQ(read({"/b", "/a"}, R"({"a":1,"a":2,"b":3,"a":4})"), (std::vector<std::string>{"number 3", "number 1"}));
    EXPECT_EQ(read({"/n\u00e4me", "/name"}, R"({"n\u0061me":1})"), (std::vector<std::string>{"null ", "number 1"}));
    EXPECT_EQ(read({"/a", "/b/c"}, R"({"\ud800":1,"a":2,"b":{"\udc00":3,"\u0063":4}})"), (std::vector<std::string>{"number 2", "number 4"}));
    EXPECT_EQ(read({"/a~1b", "/x/~0", "/x/1", "/x/~01"}, R"({"a\/b":1,"x":{"~":2,"1":3,"~1":4,"~":5}})"), (std::vector<std::string>{"number 1", "number 2", "number 3", "number 4"}));
    EXPECT_EQ(read({"/x/01", "/x/1", "/x/-", "/x/2", "/x/0/y", "/"}, R"({"x":[1,2],"":3})"), (std::vector<std::string>{"null ", "number 2", "null ", "null ", "null ", "number 3"}));
}

TEST(JsonFields, ReadsADocumentWhereItLiesLikeACopy) {
    for (const std::string document :
         {R"({"a":1,"b":"x"})", R"({"b":"q\"\u00e9","a":{"c":[1,"]"]}})", R"( {"a" : true , "b":null} )", "[1,2]", "", "{", "{\"a\":", "{\"a\":1", "17", "{\"a\":tru",
          "{\"a\":\"open}", "{\"a\":\"\xc3", "{\"a\":12"}) {
        // What follows would complete it.
        for (const char* follows : {"\"}", "e\":1}", "3}", "}", "\xa9\"}", "\n{\"a\":2}"}) {
            const std::string around = document + follows + std::string(64, '"');
            JsonFields fields({"/a", "/b", "/a/c"});
            const std::string_view in_place(around.data(), document.size());
            std::vector<std::string> found;
            if (const auto* values = fields.read(in_place, around.size() - document.size()))
                for (const auto& value : *values) found.push_back(describe(value));
            else found = {"problem: " + fields.problem()};
            EXPECT_EQ(found, read({"/a", "/b", "/a/c"}, document)) << document << " followed by " << follows;
        }
    }
}

TEST(JsonFields, SaysWhereANulMayBe) {
    JsonFields fields({"/a", "/b", "/c"});
    const auto* values = fields.read(std::string_view("{\"a\":\"x\",\"b\":\"\\u0000\",\"c\":12}", 29));
    ASSERT_TRUE(values);
    EXPECT_FALSE((*values)[0].may_hold_nul);
    EXPECT_TRUE((*values)[1].may_hold_nul);
    EXPECT_FALSE((*values)[2].may_hold_nul);
    for (const auto document : {std::string_view("{\"a\":\"x\0y\"}", 11), std::string_view("{\"a\":12\0}", 9), std::string_view("{\"a\":1}\0", 8)})
        EXPECT_EQ(read({"/a"}, document).front().substr(0, 8), "problem:");
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
