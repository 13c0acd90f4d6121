#include "engine/broker_silence.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(BrokerSilence, LastsFromTheFirstUnansweredQuestionToTheNextAnswer) {
    BrokerSilence silence;
    auto now = BrokerSilence::Time{} + seconds(100);
    EXPECT_EQ(silence.news(now), std::nullopt) << "nothing was asked";
    silence.asked(now);
    EXPECT_EQ(silence.news(now + seconds(3)), std::nullopt) << "it may still come";
    silence.asked(now + seconds(3));
    EXPECT_EQ(silence.news(now + seconds(4)), seconds(4));
    EXPECT_EQ(silence.news(now + seconds(30)), seconds(30));
    silence.answered();
    EXPECT_EQ(silence.news(now + seconds(31)), std::nullopt);
    silence.asked(now + seconds(40));
    EXPECT_EQ(silence.news(now + seconds(43)), std::nullopt);
    EXPECT_EQ(silence.news(now + seconds(45)), seconds(5));
}

TEST(BrokerSilence, IsToldNowAndThen) {
    BrokerSilence silence;
    const auto now = BrokerSilence::Time{} + seconds(100);
    silence.asked(now);
    EXPECT_TRUE(silence.news(now + seconds(5)));
    EXPECT_FALSE(silence.news(now + milliseconds(5'900)));
    EXPECT_TRUE(silence.news(now + seconds(6)));
}

}  // namespace
}  // namespace fetcher
