#include "admin/health_news.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

using std::chrono::seconds;
using Severity = HealthReason::Severity;

class HealthNewsTest : public ::testing::Test {
  protected:
    static HealthReason reason(Severity severity, const std::string& code, const std::string& processor = {}) {
        return {severity, code, "why", processor, {}, std::nullopt};
    }
    // What is said in so many seconds in which these reasons stand.
    std::vector<std::string> pass(int for_seconds, const std::vector<HealthReason>& reasons) {
        std::vector<std::string> said;
        for (int i = 0; i < for_seconds; i++) {
            now_ += seconds{1};
            for (const auto& line : news_.since(reasons, now_)) said.push_back((line.bad ? "bad: " : "") + line.text);
        }
        return said;
    }
    using Lines = std::vector<std::string>;

    HealthNews news_;
    HealthNews::Time now_{};
};

TEST_F(HealthNewsTest, AReasonThatStandsIsToldOnceAndThatItIsOver) {
    EXPECT_EQ(pass(60, {reason(Severity::degraded, "sink_retry", "p1")}), Lines{"bad: sink_retry, processor p1: why"});
    EXPECT_EQ(pass(60, {}), Lines{"sink_retry, processor p1 is over after 59 s"});
}

TEST_F(HealthNewsTest, WhatIsOverAtOnceIsNotToldOf) {
    EXPECT_EQ(pass(2, {reason(Severity::degraded, "broker_unreachable")}), Lines{});
    EXPECT_EQ(pass(60, {}), Lines{});
}

TEST_F(HealthNewsTest, WhatComesAndGoesStandsAllTheTime) {
    Lines said;
    for (int i = 0; i < 10; i++) {
        for (const auto& reasons : {std::vector{reason(Severity::blocked, "sink_blocked")}, std::vector<HealthReason>{}})
            for (const auto& line : pass(1, reasons)) said.push_back(line);
    }
    EXPECT_EQ(said, Lines{"bad: sink_blocked: why"});
}

TEST_F(HealthNewsTest, ReasonsOfTwoProcessorsAreTwo) {
    pass(5, {reason(Severity::degraded, "sink_retry", "p1")});
    EXPECT_EQ(pass(5, {reason(Severity::degraded, "sink_retry", "p1"), reason(Severity::degraded, "sink_retry", "p2")}),
              Lines{"bad: sink_retry, processor p2: why"});
    EXPECT_EQ(pass(5, {reason(Severity::degraded, "sink_retry", "p2")}), Lines{"sink_retry, processor p1 is over after 9 s"});
}

TEST_F(HealthNewsTest, WhatIsWaitedForIsNotBadAndWhatIsNotedHasHadItsLine) {
    EXPECT_EQ(pass(5, {reason(Severity::waiting, "topic_missing"), reason(Severity::noted, "offset_gap")}), Lines{"topic_missing: why"});
}

TEST_F(HealthNewsTest, NothingIsSaidOfWhatIsForgotten) {
    pass(5, {reason(Severity::degraded, "sink_retry", "p1")});
    news_.forget();
    EXPECT_EQ(pass(5, {}), Lines{});
}

}  // namespace
}  // namespace fetcher
