#include "admin/managed_consumer.h"

#include <gtest/gtest.h>

#include "tests/unit/admin/fake_pipelines.h"

namespace fetcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using State = PipelineSnapshot::State;

class ManagedConsumerTest : public ::testing::Test {
  protected:
    static StoredConsumer wanted(int64_t revision, Desired desired, const std::string& topic = "t") {
        StoredConsumer consumer;
        consumer.consumer_id = "c";
        consumer.revision = revision;
        consumer.desired = desired;
        consumer.spec.topic = topic;
        return consumer;
    }
    void advance(milliseconds time) {
        now_ += time;
        consumer_.step(now_);
    }
    std::string status(Desired desired = Desired::running) const { return judge_health(desired, consumer_.observe()).status; }
    std::string state(Desired desired = Desired::running) const { return judge_health(desired, consumer_.observe()).state; }

    FakePipelines pipelines_;
    const PipelineFactory factory_ = pipelines_.factory();
    const RestartPolicy policy_{};
    ManagedConsumer consumer_{wanted(1, Desired::running), factory_, policy_};
    std::chrono::steady_clock::time_point now_ = std::chrono::steady_clock::now();
};

TEST_F(ManagedConsumerTest, StartsWhatIsWanted) {
    advance(milliseconds{0});
    ASSERT_EQ(pipelines_.count(), 1U);
    EXPECT_TRUE(pipelines_.last()->started);
    EXPECT_EQ(consumer_.applied_revision(), 1);
    EXPECT_EQ(status(), "ACTIVE");
}

TEST_F(ManagedConsumerTest, NeverStartsWhatCannotBeRead) {
    auto damaged = wanted(1, Desired::running);
    damaged.unreadable = "damaged";
    ManagedConsumer consumer(damaged, factory_, policy_);
    for (int i = 0; i < 3; ++i) consumer.step(now_ += seconds{100});
    EXPECT_EQ(pipelines_.count(), 0U);
    EXPECT_EQ(consumer.observe().failure, "damaged");
    EXPECT_EQ(consumer.applied_revision(), 1) << "nobody waits for it";
    consumer.set_desired(wanted(1, Desired::running));
    consumer.step(now_);
    EXPECT_EQ(pipelines_.count(), 1U) << "somebody has repaired the store";
    consumer.set_desired(damaged);
    consumer.step(now_);
    EXPECT_FALSE(pipelines_.last()->was_asked_to_stop()) << "what runs goes on";
}

TEST_F(ManagedConsumerTest, DrainsBeforeItIsStopped) {
    pipelines_.stop_at_once = false;
    advance(milliseconds{0});
    consumer_.set_desired(wanted(2, Desired::stopped));
    advance(milliseconds{5});
    EXPECT_TRUE(pipelines_.last()->was_asked_to_stop());
    EXPECT_EQ(consumer_.applied_revision(), 1) << "not yet";
    EXPECT_EQ(status(Desired::stopped), "ACTIVE");
    EXPECT_EQ(state(Desired::stopped), "stopping");
    pipelines_.last()->end();
    advance(milliseconds{5});
    EXPECT_EQ(consumer_.applied_revision(), 2);
    EXPECT_EQ(status(Desired::stopped), "INACTIVE");
    EXPECT_TRUE(pipelines_.last()->destroyed);
}

TEST_F(ManagedConsumerTest, ReplacesThePipelineOnlyAfterTheOldOneHasDrained) {
    pipelines_.stop_at_once = false;
    advance(milliseconds{0});
    const auto old = pipelines_.last();
    consumer_.set_desired(wanted(2, Desired::running, "other"));
    advance(seconds{5});
    EXPECT_EQ(pipelines_.count(), 1U);
    old->end();
    advance(milliseconds{5});
    ASSERT_EQ(pipelines_.count(), 2U);
    EXPECT_EQ(pipelines_.last()->consumer.spec.topic, "other");
    EXPECT_EQ(consumer_.applied_revision(), 2);
}

TEST_F(ManagedConsumerTest, ANewRevisionWithTheSameDefinitionDisturbsNothing) {
    advance(milliseconds{0});
    consumer_.set_desired(wanted(2, Desired::running));
    advance(seconds{5});
    EXPECT_EQ(pipelines_.count(), 1U);
    EXPECT_EQ(consumer_.applied_revision(), 2);
}

TEST_F(ManagedConsumerTest, RestartsAFailedPipelineWithGrowingPauses) {
    advance(milliseconds{0});
    pipelines_.last()->end("the disk is on fire");
    EXPECT_EQ(status(), "ERROR");
    ASSERT_TRUE(consumer_.observe().last_error) << "an error has its reason from the first moment";
    EXPECT_EQ(consumer_.observe().last_error->detail, "the disk is on fire");
    advance(milliseconds{1});
    EXPECT_EQ(status(), "ERROR");
    const auto health = judge_health(Desired::running, consumer_.observe());
    EXPECT_TRUE(health.next_retry_at);
    EXPECT_EQ(health.reasons.at(0).detail, "the disk is on fire");
    advance(milliseconds{400});
    EXPECT_EQ(pipelines_.count(), 1U) << "at least half a second";
    advance(milliseconds{700});
    ASSERT_EQ(pipelines_.count(), 2U);
    pipelines_.last()->end("again");
    advance(milliseconds{1});
    advance(milliseconds{900});
    EXPECT_EQ(pipelines_.count(), 2U) << "at least a second now";
    for (int i = 0; i < 20; ++i) {
        advance(seconds{61});
        pipelines_.last()->end("again");
        advance(milliseconds{1});
    }
    EXPECT_EQ(pipelines_.count(), 22U) << "a minute is the longest pause";
}

TEST_F(ManagedConsumerTest, AnOutdatedPipelineIsReplacedAndIsNoFailure) {
    auto desired = wanted(2, Desired::running);
    desired.spec.restart = {{"attempts", 0}};
    consumer_.set_desired(desired);
    advance(milliseconds{0});
    for (int i = 1; i < 5; ++i) {
        pipelines_.last()->become_outdated("the broker is elsewhere");
        EXPECT_EQ(status(), "ACTIVE");
        advance(milliseconds{0});
        EXPECT_EQ(status(), "ACTIVE");
        advance(seconds{60});
        ASSERT_EQ(pipelines_.count(), 1U + i);
        EXPECT_EQ(status(), "ACTIVE");
        EXPECT_EQ(consumer_.observe().last_error->detail, "the broker is elsewhere");
    }
    advance(seconds{61});
    pipelines_.last()->become_outdated("the broker is elsewhere");
    advance(milliseconds{0});
    ASSERT_EQ(pipelines_.count(), 6U) << "without a pause where it is not the rule";
    pipelines_.last()->end("the disk is on fire");
    advance(seconds{100});
    EXPECT_EQ(pipelines_.count(), 6U) << "a failure uses up the attempts";
}

TEST_F(ManagedConsumerTest, ForgetsTheBackoffOnceItWasHealthyForAWhile) {
    advance(milliseconds{0});
    for (int i = 0; i < 10; ++i) {
        pipelines_.last()->end("again");
        advance(milliseconds{1});
        advance(seconds{61});
    }
    for (int i = 0; i < 70; ++i) advance(seconds{1});
    const auto before = pipelines_.count();
    pipelines_.last()->end("once more");
    advance(milliseconds{1});
    advance(milliseconds{1'000});
    EXPECT_EQ(pipelines_.count(), before + 1);
}

TEST_F(ManagedConsumerTest, APersonNeedNotWaitForTheBackoff) {
    advance(milliseconds{0});
    pipelines_.last()->end("broken");
    advance(milliseconds{1});
    consumer_.retry_now();
    advance(milliseconds{1});
    EXPECT_EQ(pipelines_.count(), 2U);
    pipelines_.last()->end("broken");
    advance(milliseconds{1});
    consumer_.set_desired(wanted(2, Desired::running));
    advance(milliseconds{1});
    EXPECT_EQ(pipelines_.count(), 3U);
}

TEST_F(ManagedConsumerTest, APersonCanReplaceAPipelineWhoseSinkIsBlocked) {
    advance(milliseconds{0});
    consumer_.retry_now();
    advance(milliseconds{1});
    EXPECT_EQ(pipelines_.count(), 1U) << "a healthy one is left alone";
    pipelines_.last()->set(State::running, {{HealthReason::Severity::blocked, "sink_blocked", "locked", "p", {}, {}}});
    consumer_.retry_now();
    advance(milliseconds{1});
    advance(milliseconds{1});
    EXPECT_EQ(pipelines_.count(), 2U);
}

TEST_F(ManagedConsumerTest, StaysInErrorUntilTheRestartHasProvenItself) {
    advance(milliseconds{0});
    pipelines_.last()->end("broken");
    advance(milliseconds{1});
    advance(seconds{2});
    ASSERT_EQ(pipelines_.count(), 2U);
    pipelines_.last()->set(State::starting);
    EXPECT_EQ(status(), "ERROR");
    pipelines_.last()->set(State::running);
    advance(seconds{2});
    EXPECT_EQ(status(), "ACTIVE");
    EXPECT_EQ(consumer_.observe().last_error->detail, "broken") << "still to be read";
}

TEST_F(ManagedConsumerTest, AnExhaustedSystemIsAnErrorOfTheConsumerAndTriedAgain) {
    pipelines_.exhausted = true;
    advance(milliseconds{0});
    EXPECT_EQ(status(), "ERROR");
    pipelines_.exhausted = false;
    advance(seconds{2});
    EXPECT_EQ(pipelines_.count(), 1U);
}

TEST_F(ManagedConsumerTest, AFactoryThatRefusesIsAnError) {
    pipelines_.refusal = "no such type";
    advance(milliseconds{0});
    EXPECT_EQ(status(), "ERROR");
    EXPECT_EQ(consumer_.applied_revision(), 1) << "that is its effect";
    pipelines_.refusal.clear();
    advance(seconds{2});
    EXPECT_EQ(status(), "ACTIVE");
}

TEST_F(ManagedConsumerTest, AStopForgetsTheFailure) {
    advance(milliseconds{0});
    pipelines_.last()->end("broken");
    advance(milliseconds{1});
    consumer_.set_desired(wanted(2, Desired::stopped));
    advance(milliseconds{1});
    EXPECT_EQ(status(Desired::stopped), "INACTIVE");
    EXPECT_EQ(consumer_.applied_revision(), 2);
}

TEST_F(ManagedConsumerTest, ARemovedOneDrainsAndIsGone) {
    pipelines_.stop_at_once = false;
    advance(milliseconds{0});
    consumer_.remove();
    advance(milliseconds{1});
    EXPECT_FALSE(consumer_.gone());
    pipelines_.last()->end();
    advance(milliseconds{1});
    EXPECT_TRUE(consumer_.gone());
}

TEST_F(ManagedConsumerTest, SaysWhenItStands) {
    advance(milliseconds{0});
    {
        std::lock_guard lock(pipelines_.last()->mutex);
        pipelines_.last()->snapshot.partitions = {{0, 5, 5, 5, 10, 5}};
        pipelines_.last()->snapshot.last_progress = now_;
    }
    for (int i = 0; i < 29; ++i) advance(seconds{1});
    EXPECT_EQ(state(), "ok");
    for (int i = 0; i < 3; ++i) advance(seconds{1});
    EXPECT_EQ(state(), "stalled");
    EXPECT_EQ(status(), "ACTIVE");
    {
        std::lock_guard lock(pipelines_.last()->mutex);
        pipelines_.last()->snapshot.last_progress = now_;
    }
    advance(seconds{1});
    EXPECT_EQ(state(), "ok");
}

TEST_F(ManagedConsumerTest, AnIdleTopicIsNoStall) {
    advance(milliseconds{0});
    for (int i = 0; i < 100; ++i) advance(seconds{1});
    {
        std::lock_guard lock(pipelines_.last()->mutex);
        pipelines_.last()->snapshot.partitions = {{0, 5, 5, 5, 10, 5}};  // something has just arrived
    }
    advance(seconds{1});
    EXPECT_EQ(state(), "ok");
}

TEST_F(ManagedConsumerTest, CountsOverAllItsPipelines) {
    advance(milliseconds{0});
    {
        std::lock_guard lock(pipelines_.last()->mutex);
        pipelines_.last()->snapshot.records = 100;
    }
    pipelines_.last()->end("broken");
    advance(milliseconds{1});
    advance(seconds{2});
    {
        std::lock_guard lock(pipelines_.last()->mutex);
        pipelines_.last()->snapshot.records = 20;
    }
    EXPECT_EQ(consumer_.observe().totals.records, 120U);
    EXPECT_EQ(consumer_.observe().totals.restarts, 1U);
}

TEST_F(ManagedConsumerTest, WhatWasLostIsToldAndCountedWhenThePipelineIsAnother) {
    using Severity = HealthReason::Severity;
    const auto lose = [&](const std::string& what, std::chrono::system_clock::duration ago) {
        std::lock_guard lock(pipelines_.last()->mutex);
        auto& snapshot = pipelines_.last()->snapshot;
        snapshot.gaps = 1;
        snapshot.partitions = {{.partition = 0}};
        snapshot.processors = {{.id = "p", .dropped = 7}};
        snapshot.reasons = {{Severity::noted, "offset_gap", what, "", std::chrono::system_clock::now() - ago, std::nullopt},
                            {Severity::degraded, "sink_retry", "of the moment", "p", {}, std::nullopt}};
    };
    const auto told = [&] {
        std::vector<std::string> details;
        for (const auto& reason : judge_health(Desired::running, consumer_.observe()).reasons)
            if (reason.code != "no_partitions") details.push_back(reason.detail);
        return details;
    };
    using Details = std::vector<std::string>;
    advance(milliseconds{0});
    lose("offsets 1 to 2", std::chrono::minutes(1));
    pipelines_.last()->become_outdated("another topic id");
    advance(milliseconds{1});
    advance(seconds{2});
    pipelines_.last()->set(State::running, {{Severity::degraded, "sink_retry", "of now", "p", {}, std::nullopt}});
    EXPECT_EQ(consumer_.observe().totals.gaps, 1U);
    EXPECT_EQ(consumer_.observe().totals.dropped, 7U);
    EXPECT_EQ(told(), (Details{"of now", "offsets 1 to 2"}));

    lose("offsets 5 to 9", std::chrono::minutes(0));
    EXPECT_EQ(told(), (Details{"offsets 5 to 9", "of the moment"})) << "a newer one of its kind takes its place";
    pipelines_.last()->end("broken");
    advance(milliseconds{1});
    advance(seconds{2});
    EXPECT_EQ(told(), Details{"offsets 5 to 9"});
    EXPECT_EQ(consumer_.observe().totals.gaps, 2U);

    lose("long ago", std::chrono::minutes(61));
    pipelines_.last()->end("broken");
    advance(milliseconds{1});
    advance(seconds{5});
    EXPECT_EQ(told(), Details{}) << "for an hour";

    lose("of the old topic", std::chrono::minutes(1));
    consumer_.set_desired(wanted(2, Desired::running, "another"));
    advance(milliseconds{1});
    advance(milliseconds{1});
    EXPECT_EQ(pipelines_.last()->consumer.spec.topic, "another");
    for (const auto& detail : told()) EXPECT_EQ(detail.find("old topic"), std::string::npos);
}

TEST_F(ManagedConsumerTest, MeasuresTheRate) {
    advance(milliseconds{0});
    for (uint64_t i = 1; i <= 10; ++i) {
        {
            std::lock_guard lock(pipelines_.last()->mutex);
            pipelines_.last()->snapshot.records = i * 500;
        }
        advance(seconds{1});
    }
    EXPECT_NEAR(consumer_.observe().records_per_second, 500, 1);
}

TEST_F(ManagedConsumerTest, ShuttingDownLaunchesNothingAnyMore) {
    advance(milliseconds{0});
    consumer_.shut_down();
    advance(milliseconds{1});
    advance(seconds{100});
    EXPECT_EQ(pipelines_.count(), 1U);
    EXPECT_FALSE(consumer_.has_pipeline());
}

}  // namespace
}  // namespace fetcher
