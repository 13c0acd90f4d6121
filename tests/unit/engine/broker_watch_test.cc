#include "engine/broker_watch.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = SourceTrouble::Kind;

class BrokerWatchTest : public ::testing::Test {
  protected:
    std::string silence_at(milliseconds time) {
        const auto trouble = watch_.silence(begin_ + time);
        if (!trouble) return "";
        return (trouble->kind == Kind::outdated ? "outdated: " : "") + trouble->reason;
    }
    std::string refused_at(seconds time, const std::string& why) {
        const auto trouble = watch_.log_ends(why, begin_ + time);
        return trouble ? trouble->reason : "";
    }
    void ask_at(seconds time) { watch_.asked(begin_ + time); }

    BrokerWatch watch_;
    const BrokerWatch::Time begin_ = BrokerWatch::Time{} + seconds(100);
};

TEST_F(BrokerWatchTest, SilenceLastsFromTheFirstUnansweredQuestionToTheNextAnswer) {
    EXPECT_EQ(silence_at(seconds(50)), "") << "nothing was asked";
    ask_at(seconds(50));
    EXPECT_EQ(silence_at(seconds(53)), "") << "it may still come";
    ask_at(seconds(53));
    EXPECT_EQ(silence_at(seconds(54)), "the broker does not answer");
    watch_.answered();
    EXPECT_EQ(silence_at(seconds(60)), "");
    ask_at(seconds(70));
    EXPECT_EQ(silence_at(seconds(73)), "");
    EXPECT_EQ(silence_at(seconds(75)), "the broker does not answer");
}

TEST_F(BrokerWatchTest, SilenceIsToldNowAndThenWithTheLastWords) {
    ask_at(seconds(0));
    watch_.broke("refused");
    EXPECT_EQ(silence_at(seconds(5)), "the broker does not answer: refused");
    EXPECT_EQ(silence_at(milliseconds(5'900)), "");
    watch_.broke("no route");
    EXPECT_EQ(silence_at(seconds(6)), "the broker does not answer: no route");
    watch_.answered();
    ask_at(seconds(10));
    EXPECT_EQ(silence_at(seconds(20)), "the broker does not answer") << "those words were of another silence";
}

TEST_F(BrokerWatchTest, ALongSilenceMakesTheClientOutdated) {
    for (int i = 0; i < 16; i++) ask_at(seconds(i));
    EXPECT_EQ(silence_at(seconds(15)), "the broker does not answer");
    EXPECT_EQ(silence_at(seconds(16)), "outdated: the broker does not answer; it is looked for anew");
}

TEST_F(BrokerWatchTest, WhoHasSleptAsksOnceMore) {
    ask_at(seconds(0));
    EXPECT_EQ(silence_at(seconds(500)), "the broker does not answer");
    ask_at(seconds(501));
    EXPECT_EQ(silence_at(seconds(502)), "the broker does not answer");
}

TEST_F(BrokerWatchTest, OnlyARefusalThatStaysIsTold) {
    watch_.answered();
    EXPECT_EQ(refused_at(seconds(0), "not leader"), "");
    EXPECT_EQ(refused_at(seconds(1), "not leader"), "") << "questions come faster in trouble";
    EXPECT_EQ(refused_at(seconds(2), ""), "");
    EXPECT_EQ(refused_at(seconds(3), "not leader"), "");
    EXPECT_EQ(refused_at(seconds(7), "no answer"), "the log's end cannot be read: no answer");
}

TEST_F(BrokerWatchTest, ARefusalAmidSilenceIsNoAnswer) {
    ask_at(seconds(0));
    EXPECT_EQ(refused_at(seconds(1), "no leader known"), "");
    EXPECT_EQ(refused_at(seconds(6), "no leader known"), "");
    EXPECT_EQ(silence_at(seconds(6)), "the broker does not answer");
}

}  // namespace
}  // namespace fetcher
