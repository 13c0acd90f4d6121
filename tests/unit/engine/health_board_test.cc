#include "engine/health_board.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

using Severity = HealthReason::Severity;

TEST(HealthBoard, KeepsSinceWhileAReasonStands) {
    HealthBoard board;
    board.set(Severity::degraded, "sink_retry", "first", "p");
    const auto since = board.reasons().at(0).since;
    board.set(Severity::degraded, "sink_retry", "second", "p");
    EXPECT_EQ(board.reasons().at(0).since, since);
    EXPECT_EQ(board.reasons().at(0).detail, "second");
    board.clear("sink_retry", "p");
    EXPECT_TRUE(board.reasons().empty());
}

TEST(HealthBoard, WhatIsOnlyNotedGoesByItself) {
    HealthBoard board;
    board.set(Severity::noted, "offset_gap", "records are gone");
    board.set(Severity::degraded, "broker_unreachable", "no answer");
    const auto now = std::chrono::system_clock::now();
    EXPECT_EQ(board.reasons(now + std::chrono::minutes(59)).size(), 2U);
    ASSERT_EQ(board.reasons(now + std::chrono::minutes(61)).size(), 1U);
    EXPECT_EQ(board.reasons(now + std::chrono::minutes(61))[0].code, "broker_unreachable");
}

}  // namespace
}  // namespace fetcher
