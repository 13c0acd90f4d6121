#include "processors/duration.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

using std::chrono::milliseconds;

TEST(Duration, ReadsEveryUnit) {
    EXPECT_EQ(parse_duration("0ms"), milliseconds(0));
    EXPECT_EQ(parse_duration("100ms"), milliseconds(100));
    EXPECT_EQ(parse_duration("10s"), milliseconds(10'000));
    EXPECT_EQ(parse_duration("5m"), milliseconds(300'000));
    EXPECT_EQ(parse_duration("1h"), milliseconds(3'600'000));
    EXPECT_EQ(parse_duration("87600h"), kLongestDuration);
}

TEST(Duration, RefusesEverythingElse) {
    for (const char* text : {"", "s", "10", "10 s", " 10s", "10s ", "-1s", "+1s", "1.5s", "10S", "10sec", "10d", "0x10s", "87601h", "999999999h", "9999999999s",
                             "99999999999999999999s", "1s1s", "ms"}) {
        EXPECT_EQ(parse_duration(text), std::nullopt) << text;
    }
    EXPECT_EQ(parse_duration(std::string_view("1s\0", 3)), std::nullopt);
}

}  // namespace
}  // namespace fetcher
