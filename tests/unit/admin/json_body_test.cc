#include "admin/json_body.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

int status_of(const std::string& body) {
    const auto parsed = parse_json_body(body);
    return parsed ? 200 : parsed.error().status;
}

TEST(JsonBody, TakesAnObject) { EXPECT_EQ(parse_json_body(R"({"a": 1})")->at("a"), 1); }

TEST(JsonBody, RefusesWhatIsNotJson) {
    for (const auto* body : {"", "{", "not json", "{\"a\":}", "{\"a\":1} extra", "\xff\xfe", "{\"a\":\"\xc3\x28\"}", "NaN"})
        EXPECT_EQ(status_of(body), 400) << body;
}

TEST(JsonBody, RefusesAKeyThatAppearsTwice) {
    EXPECT_EQ(status_of(R"({"a":1,"a":2})"), 400);
    EXPECT_EQ(status_of(R"({"x":{"a":1,"a":2}})"), 400);
    EXPECT_EQ(status_of(R"([{"a":1},{"a":2}])"), 200);
}

TEST(JsonBody, RefusesDeepNesting) {
    EXPECT_EQ(status_of(std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']')), 200);
    EXPECT_EQ(status_of(std::string(kMaxJsonDepth + 1, '[') + std::string(kMaxJsonDepth + 1, ']')), 400);
    EXPECT_EQ(status_of(std::string(500'000, '[')), 400);
}

TEST(JsonBody, DoesNotCountBracketsInStrings) { EXPECT_EQ(status_of("{\"a\":\"" + std::string(100, '[') + "\\\"[[[\"}"), 200); }

}  // namespace
}  // namespace fetcher
