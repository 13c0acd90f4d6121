#include "processors/rotated_name.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

TEST(RotatedName, KeepsTheExtensionAtTheEnd) {
    const auto now = std::chrono::system_clock::time_point(std::chrono::seconds(1'767'323'045));
    EXPECT_EQ(rotated_name("payments.log", now, 7), "payments.20260102T030405Z-000007.log");
    EXPECT_EQ(rotated_name("a.b.log", now, 7), "a.b.20260102T030405Z-000007.log");
    EXPECT_EQ(rotated_name("payments.log.zst", now, 7), "payments.20260102T030405Z-000007.log.zst");
    EXPECT_EQ(rotated_name("payments.zst", now, 7), "payments.20260102T030405Z-000007.zst");
    EXPECT_EQ(rotated_name("payments", now, 1'234'567), "payments.20260102T030405Z-1234567");
    EXPECT_EQ(rotated_name(".hidden", now, 1), ".hidden.20260102T030405Z-000001");
}

}  // namespace
}  // namespace fetcher
