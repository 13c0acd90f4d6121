// What is JSON, against another library's opinion.
#include "processors/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <random>

namespace fetcher {
namespace {

using json_text::is_json;

// nullopt: one of its numbers is too large for it.
std::optional<bool> taken_by_another(const std::string& text) {
    try {
        return !nlohmann::json::parse(text).is_discarded();
    } catch (const nlohmann::json::out_of_range&) {
        return std::nullopt;
    } catch (const nlohmann::json::parse_error&) {
        return false;
    }
}

TEST(JsonText, TakesEveryNumber) {
    for (const char* number : {"0", "-0", "17", "123456789012345678901234567890", "1e999", "-1.50E-7", "0.0"}) EXPECT_TRUE(is_json(number)) << number;
    for (const char* none : {"", "-", "01", "1.", ".5", "+1", "1e", "1e+", "0x1", "1_0", "NaN", "-Infinity"}) EXPECT_FALSE(is_json(none)) << none;
}

TEST(JsonText, RefusesNul) {
    for (const auto text : {std::string_view("1\0", 2), std::string_view("\0", 1), std::string_view("\"\0\"", 3), std::string_view("\"\\\0\"", 4), std::string_view("[\0]", 3)})
        EXPECT_FALSE(is_json(text));
}

TEST(JsonText, NestsAsDeepAsItSays) {
    const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    EXPECT_TRUE(is_json(nested(json_text::kDeepest)));
    EXPECT_FALSE(is_json(nested(json_text::kDeepest + 1)));
    EXPECT_FALSE(is_json(std::string(1'000'000, '[')));
    EXPECT_FALSE(is_json(std::string(1'000'000, '{')));
}

TEST(JsonText, TakesWhatAParserTakes) {
    const std::vector<std::string> seeds{R"({"a":[1,-2.5e3,{"b":null,"c":[]}],"d":"text with \u00e9 and \\ \" \/ in it, longer than a block","e":true,"f":{}})", " [ ] ", "\"\xC3\xBC\"", "17",
                                         R"([[[{"x":"\b\f\n\r\t"}]], false])"};
    const std::string alphabet = "\"\"\\\\{}[]:,, 0123456789eE+-.truefalsnbu/\n\t\xC3\xBC\xFF";  // but for NUL, where the other one stops
    std::mt19937 random(1);
    const auto below = [&](size_t n) { return random() % n; };
    size_t taken = 0;
    for (int i = 0; i < 40'000; i++) {
        std::string text = seeds[below(seeds.size())];
        for (size_t changes = below(4); changes > 0 && !text.empty(); changes--) {
            const size_t at = below(text.size());
            switch (below(4)) {
                case 0: text.erase(at, 1 + below(2)); break;
                case 1: text.insert(at, 1, alphabet[below(alphabet.size())]); break;
                case 2: {
                    const size_t from = below(text.size());
                    text.insert(at, text.substr(from, below(6)));
                    break;
                }
                default: text[at] = alphabet[below(alphabet.size())];
            }
        }
        text.shrink_to_fit();
        const auto expected = taken_by_another(text);
        ASSERT_EQ(is_json(text), expected.value_or(is_json(text))) << text;
        if (is_json(text)) taken++;
    }
    EXPECT_GT(taken, 10'000U);
    EXPECT_LT(taken, 30'000U);
}

}  // namespace
}  // namespace fetcher
