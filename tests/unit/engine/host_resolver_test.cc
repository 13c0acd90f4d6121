#include "engine/host_resolver.h"

#include <gtest/gtest.h>

#include <system_error>

namespace fetcher {
namespace {

std::chrono::steady_clock::time_point soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }

TEST(HostResolver, ANameIsFoundAgainOnceThereCanBeThreads) {
    const auto no_thread = [](const auto&) { throw std::system_error(EAGAIN, std::generic_category()); };
    for (int i = 0; i < 2; i++) {
        const auto found = resolve_host("127.0.0.1", soon(), no_thread);
        ASSERT_FALSE(found);
        EXPECT_EQ(found.error().kind, ErrorKind::transient);
        EXPECT_NE(found.error().reason.find("no thread"), std::string::npos) << found.error().reason;
    }
    const auto found = resolve_host("127.0.0.1", soon());
    ASSERT_TRUE(found) << found.error().reason;
    EXPECT_EQ(found->front(), "127.0.0.1");
}

}  // namespace
}  // namespace fetcher
