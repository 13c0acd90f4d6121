#include "admin/consumer_health.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

using Severity = HealthReason::Severity;
using State = PipelineSnapshot::State;

ConsumerObservation running(std::vector<HealthReason> reasons = {}, State state = State::running) {
    ConsumerObservation seen;
    seen.pipeline.emplace();
    seen.pipeline->state = state;
    seen.pipeline->reasons = std::move(reasons);
    seen.pipeline->partitions = {{}};
    return seen;
}

HealthReason reason(Severity severity) { return {severity, "code", "detail", "", {}, std::nullopt}; }

std::string judged(const ConsumerObservation& seen, Desired desired = Desired::running) {
    const auto health = judge_health(desired, seen);
    return health.status + " " + health.state;
}

TEST(ConsumerHealth, InactiveOnlyWhenAPersonStoppedIt) {
    EXPECT_EQ(judged({}, Desired::stopped), "INACTIVE stopped");
    EXPECT_EQ(judged({}, Desired::running), "ACTIVE waiting");
}

TEST(ConsumerHealth, TheWorstReasonDecides) {
    EXPECT_EQ(judged(running()), "ACTIVE ok");
    EXPECT_EQ(judged(running({}, State::starting)), "ACTIVE waiting");
    EXPECT_EQ(judged(running({reason(Severity::waiting)})), "ACTIVE waiting");
    EXPECT_EQ(judged(running({reason(Severity::waiting), reason(Severity::degraded)})), "ACTIVE degraded");
    EXPECT_EQ(judged(running({reason(Severity::degraded), reason(Severity::blocked), reason(Severity::waiting)})), "ERROR error");
}

TEST(ConsumerHealth, WithoutPartitionsItWaits) {
    auto seen = running();
    seen.pipeline->partitions.clear();
    EXPECT_EQ(judged(seen), "ACTIVE waiting");
}

TEST(ConsumerHealth, AFailureIsAnErrorFromItsFirstMoment) {
    auto seen = running({}, State::failed);
    seen.pipeline->failure = "auth";
    EXPECT_EQ(judged(seen), "ERROR error");
}

TEST(ConsumerHealth, NamesTheNextTryOfABlockedSink) {
    auto blocked = reason(Severity::blocked);
    blocked.next_try = std::chrono::system_clock::now();
    EXPECT_EQ(judge_health(Desired::running, running({blocked})).next_retry_at, blocked.next_try);
}

TEST(ConsumerHealth, AStallIsSaidOnlyWhereNothingElseExplainsIt) {
    auto seen = running();
    seen.stalled_since = std::chrono::system_clock::now();
    EXPECT_EQ(judged(seen), "ACTIVE stalled");
    seen.pipeline->reasons = {reason(Severity::degraded)};
    EXPECT_EQ(judged(seen), "ACTIVE degraded");
}

TEST(ConsumerHealth, WhatIsOnlyNotedIsToldButExplainsNoStall) {
    auto seen = running({reason(Severity::noted)});
    EXPECT_EQ(judged(seen), "ACTIVE degraded");
    seen.stalled_since = std::chrono::system_clock::now();
    EXPECT_EQ(judged(seen), "ACTIVE stalled");
    EXPECT_EQ(judge_health(Desired::running, seen).reasons.size(), 2U);
}

TEST(ConsumerHealth, WhatStillDrainsIsNotInactive) {
    auto seen = running();
    seen.stopping = true;
    EXPECT_EQ(judged(seen, Desired::stopped), "ACTIVE stopping");
}

}  // namespace
}  // namespace fetcher
