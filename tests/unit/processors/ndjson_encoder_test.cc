#include "processors/ndjson_encoder.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <cstring>
#include <random>

#include "sink_world.h"

namespace fetcher {
namespace {

constexpr size_t kAll = std::numeric_limits<size_t>::max();

nlohmann::json encode_one(Batch& batch) {
    NdjsonEncoder encoder;
    ByteBuffer out;
    EXPECT_EQ(encoder.encode(batch, 0, kAll, kAll, out), batch.size());
    EXPECT_EQ(out.view().back(), '\n');
    EXPECT_EQ(std::count(out.view().begin(), out.view().end(), '\n'), static_cast<int64_t>(batch.size()));
    return nlohmann::json::parse(out.view(), nullptr, false);
}

std::string text_of(std::string_view text) {
    ByteBuffer out;
    NdjsonEncoder::append_text(text, out);
    return std::string(out.view());
}

TEST(NdjsonEncoder, WritesTheWholeEnvelope) {
    Batch batch;
    batch.begin(make_assignment(3), 42);
    batch.add(42, 1'700'000'000'123, "the value");
    batch.add_key("the key");
    batch.add_header("a", "1");
    batch.add_header("a", std::nullopt);
    batch.add_header("", "");
    NdjsonEncoder encoder;
    ByteBuffer out;
    encoder.encode(batch, 0, kAll, kAll, out);
    EXPECT_EQ(out.view(),
              R"({"topic":"topic","partition":3,"offset":42,"timestamp":1700000000123,"key":"the key","headers":[{"name":"a","value":"1"},)"
              R"({"name":"a","value":null},{"name":"","value":""}],"value":"the value"})"
              "\n");
}

TEST(NdjsonEncoder, KeepsNullApartFromEmpty) {
    Batch batch;
    batch.begin(make_assignment(0), 0);
    batch.add(0, -1, std::nullopt);
    const auto null = encode_one(batch);
    EXPECT_TRUE(null["value"].is_null());
    EXPECT_TRUE(null["key"].is_null());
    EXPECT_EQ(null["timestamp"], -1);
    EXPECT_EQ(null["headers"], nlohmann::json::array());
    batch.begin(make_assignment(0), 0);
    batch.add(0, 0, "");
    batch.add_key("");
    const auto empty = encode_one(batch);
    EXPECT_EQ(empty["value"], "");
    EXPECT_EQ(empty["key"], "");
}

TEST(NdjsonEncoder, EscapesWhatJsonWantsEscaped) {
    EXPECT_EQ(text_of("a\"b\\c\nd\re\tf\bg\fh"), R"("a\"b\\c\nd\re\tf\bg\fh")");
    EXPECT_EQ(text_of(std::string("\0\x01\x1f\x7f", 4)), "\"\\u0000\\u0001\\u001f\x7f\"");
    EXPECT_EQ(text_of("/ü€😀"), "\"/ü€😀\"");
}

TEST(NdjsonEncoder, WritesWhatIsNotUtf8AsBase64) {
    EXPECT_EQ(text_of("\xff"), R"({"base64":"/w=="})");
    EXPECT_EQ(text_of("\xff\xfe"), R"({"base64":"//4="})");
    EXPECT_EQ(text_of("\xff\xfe\xfd"), R"({"base64":"//79"})");
    EXPECT_EQ(text_of("\xc0\x80"), R"({"base64":"wIA="})");      // overlong
    EXPECT_EQ(text_of("\xed\xa0\x80"), R"({"base64":"7aCA"})");  // a surrogate
}

// Every byte value at every place of a word, and lengths around it: the fast path must agree with a JSON parser.
TEST(NdjsonEncoder, AgreesWithAParserForEveryByteAtEveryPlace) {
    for (size_t length = 1; length <= 19; length++) {
        for (size_t at = 0; at < length; at++) {
            for (int byte = 0; byte < 128; byte++) {
                std::string text(length, 'x');
                text[at] = static_cast<char>(byte);
                const auto json = nlohmann::json::parse(text_of(text), nullptr, false);
                ASSERT_TRUE(json.is_string()) << byte;
                ASSERT_EQ(json.get<std::string>(), text);
            }
        }
    }
}

TEST(NdjsonEncoder, AgreesWithAParserForNoise) {
    std::mt19937 random(3);
    const auto decode = [](const std::string& base64) {
        std::string bytes;
        uint32_t group = 0;
        int bits = 0;
        for (const char c : base64) {
            const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            const char* found = c == '=' ? nullptr : std::strchr(digits, c);
            if (!found) continue;
            group = (group << 6) | static_cast<uint32_t>(found - digits);
            if ((bits += 6) >= 8) bytes.push_back(static_cast<char>(group >> (bits -= 8)));
        }
        return bytes;
    };
    for (int i = 0; i < 3000; i++) {
        std::string text(random() % 60, '\0');
        const unsigned mask = i % 2 == 0 ? 0x7f : 0xff;
        for (auto& c : text) c = static_cast<char>(random() & mask);
        const auto json = nlohmann::json::parse(text_of(text), nullptr, false);
        const auto got = json.is_string() ? json.get<std::string>() : decode(json["base64"].get<std::string>());
        ASSERT_EQ(got, text);
    }
}

TEST(NdjsonEncoder, EscapesALongTextOfControlCharacters) {
    const std::string text(100'000, '\x01');
    const auto json = nlohmann::json::parse(text_of(text), nullptr, false);
    EXPECT_EQ(json.get<std::string>(), text);
}

TEST(NdjsonEncoder, KeepsAHundredThousandHeaders) {
    Batch batch;
    batch.begin(make_assignment(0), 0);
    batch.add(0, 0, "v");
    for (int i = 0; i < 100'000; i++) batch.add_header("n" + std::to_string(i), i % 2 == 0 ? std::optional<std::string_view>("\xff") : std::nullopt);
    const auto json = encode_one(batch);
    ASSERT_EQ(json["headers"].size(), 100'000U);
    EXPECT_EQ(json["headers"][99'998]["name"], "n99998");
    EXPECT_EQ(json["headers"][99'998]["value"]["base64"], "/w==");
}

TEST(NdjsonEncoder, StopsBeforeTheLimitButWritesAtLeastOne) {
    Batch batch;
    batch.begin(make_assignment(0), 0);
    for (int i = 0; i < 10; i++) batch.add(i, 0, "v");
    NdjsonEncoder encoder;
    ByteBuffer one;
    EXPECT_EQ(encoder.encode(batch, 0, kAll, 1, one), 1U);
    const size_t line = one.size();
    ByteBuffer three;
    EXPECT_EQ(encoder.encode(batch, 0, kAll, 3 * line + 1, three), 3U);
    EXPECT_EQ(three.size(), 3 * line);
    ByteBuffer enough;
    EXPECT_EQ(encoder.encode(batch, 2, 2 * line, kAll, enough), 4U);
}

}  // namespace
}  // namespace fetcher
