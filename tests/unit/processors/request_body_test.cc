#include "processors/request_body.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "sink_world.h"

namespace fetcher {
namespace {

using Framing = BodyFormat::Framing;
using Compression = BodyFormat::Compression;

class Bodies : public ::testing::Test {
  protected:
    Bodies() { batch_.begin(make_assignment(3), 10); }
    void add(std::optional<std::string_view> value) { batch_.add(10 + static_cast<int64_t>(batch_.size()), 77, value); }
    RecordRange all() const {
        RecordRange range;
        range.records = batch_.size();
        const auto middle = static_cast<uint32_t>(batch_.size() / 2), end = static_cast<uint32_t>(batch_.size());
        if (middle > 0) range.pieces.push_back({&batch_, 0, middle});
        range.pieces.push_back({&batch_, middle, end});
        return range;
    }
    std::string body(BodyFormat format) const {
        RequestBody encoder(format);
        const auto encoded = encoder.encode(all());
        EXPECT_TRUE(encoded);
        return std::string(*encoded);
    }
    Batch batch_;
};

TEST_F(Bodies, ASingleRecordIsSentAsItIs) {
    const std::string_view bytes("a\n\0b\xff", 5);
    add(bytes);
    EXPECT_EQ(body({}), bytes);
    Batch null;
    null.begin(make_assignment(0), 0);
    null.add(0, 0, std::nullopt);
    RecordRange range;
    range.pieces.push_back({&null, 0, 1});
    RequestBody encoder{BodyFormat{}};
    EXPECT_EQ(*encoder.encode(range), "");
}

TEST_F(Bodies, LinesAreValuesUnlessThatWouldBreakThem) {
    for (const char* value : {"a", "{\"x\":1}", "b c", "{\n \"y\" : [1, 2]\n}", "two\nlines", "", "end"}) add(value);
    add(std::nullopt);
    EXPECT_EQ(body({.framing = Framing::ndjson}), "a\n{\"x\":1}\nb c\n{\"y\":[1,2]}\n\"two\\nlines\"\n\"\"\nend\nnull\n");
}

TEST_F(Bodies, AnArrayHoldsJsonAsItIsAndTheRestAsStrings) {
    for (const char* value : {"1", "{\"x\": 1}", "plain", "\xff", "\"s\"", "1 2", "12345678901234567890123", "1e400"}) add(value);
    add(std::nullopt);
    EXPECT_EQ(body({.framing = Framing::json_array}), "[1,{\"x\": 1},\"plain\",{\"base64\":\"/w==\"},\"s\",\"1 2\",12345678901234567890123,1e400,null]");
}

TEST_F(Bodies, AnEnvelopeHasEverythingOfARecord) {
    add("v");
    batch_.add_key("k");
    batch_.add_header("h", std::nullopt);
    const std::string one =
        R"({"topic":"topic","partition":3,"offset":10,"timestamp":77,"key":"k","headers":[{"name":"h","value":null}],"value":"v"})";
    EXPECT_EQ(body({.envelope = true}), one);
    EXPECT_EQ(body({.framing = Framing::json_array, .envelope = true}), "[" + one + "]");
    EXPECT_EQ(body({.framing = Framing::ndjson, .envelope = true}), one + "\n");
}

TEST_F(Bodies, AreCompressedWhole) {
    for (int i = 0; i < 1000; i++) add("the same over and over");
    const auto plain = body({.framing = Framing::ndjson});
    const auto zstd = body({.framing = Framing::ndjson, .compression = Compression::zstd});
    std::string text(plain.size() + 1, '\0');
    EXPECT_EQ(ZSTD_decompress(text.data(), text.size(), zstd.data(), zstd.size()), plain.size());
    EXPECT_EQ(text.substr(0, plain.size()), plain);

    const auto gzip = body({.framing = Framing::ndjson, .compression = Compression::gzip});
    z_stream z{};
    ASSERT_EQ(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(gzip.data()));
    z.avail_in = static_cast<uInt>(gzip.size());
    z.next_out = reinterpret_cast<Bytef*>(text.data());
    z.avail_out = static_cast<uInt>(text.size());
    EXPECT_EQ(inflate(&z, Z_FINISH), Z_STREAM_END);
    EXPECT_EQ(z.total_out, plain.size());
    inflateEnd(&z);
    EXPECT_LT(gzip.size(), plain.size() / 10);
}

}  // namespace
}  // namespace fetcher
