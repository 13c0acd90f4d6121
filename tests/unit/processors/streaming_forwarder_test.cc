// The forwarder with its own threads, between a test that feeds it as the engine does and connections to a server in memory.
#include "processors/streaming_forwarder.h"

#include <sched.h>

#include <thread>

#include "forwarder_world.h"

namespace fetcher {
namespace {

TEST_F(Forwarding, DeliversRangesInOrderAndAcknowledgesThem) {
    start();
    EXPECT_FALSE(open(p0_));
    write(p0_, 0, 25);
    EXPECT_TRUE(engine_.wait_durable(0, 25));
    const auto sent = server_.all();
    ASSERT_EQ(sent.size(), 3u);
    EXPECT_EQ(sent[0].key, p0_->consumer_id + "/topic/0/0-9");
    EXPECT_EQ(sent[2], (FakeServer::Sent{p0_->consumer_id + "/topic/0/20-24", "20\n21\n22\n23\n24\n"}));
    EXPECT_EQ(forwarder_->flush().kind, Outcome::Kind::accepted);
    forwarder_->close(*p0_);
    EXPECT_EQ(open(p0_)->next_offset, 25);
}

TEST_F(Forwarding, TriesAgainAndSaysSoUntilItWorks) {
    std::atomic<bool> away = true;
    std::atomic<size_t> refused = 0;
    server_.decide = [&](const auto&) {
        if (!away) return answered(204);
        refused++;
        return answered(503);
    };
    start();
    open(p0_);
    write(p0_, 0, 10);
    EXPECT_TRUE(engine_.wait_trouble(true));
    away = false;
    EXPECT_TRUE(engine_.wait_durable(0, 10));
    EXPECT_TRUE(engine_.wait_trouble(false));
    const auto sent = server_.all();
    ASSERT_EQ(sent.size(), refused + 1);
    for (const auto& one : sent) EXPECT_EQ(one, sent[0]);
}

TEST_F(Forwarding, ABadRecordEndsItsPartitionBehindEverythingGood) {
    server_.decide = [](const auto& sent) { return sent.body.find("13\n") == std::string::npos ? answered(200) : answered(422, "no 13"); };
    start();
    open(p0_);
    write(p0_, 0, 40);
    const auto end = engine_.wait_end();
    EXPECT_NE(end.find("offset 13: POST http://h/in answered 422: no 13"), std::string::npos) << end;
    EXPECT_EQ(forwarder_->flush().kind, Outcome::Kind::accepted);
    EXPECT_EQ(engine_.durable_below(0), 13);
    EXPECT_EQ(server_.all().back().body, "13\n");
}

TEST_F(Forwarding, PartitionsDoNotWaitForEachOther) {
    std::atomic<bool> bad = true;
    server_.decide = [&](const auto& sent) { return bad && sent.key.find("/0/") != std::string::npos ? answered(500) : answered(200); };
    start();
    open(p0_);
    open(p1_);
    write(p0_, 0, 10);
    write(p1_, 0, 50);
    EXPECT_TRUE(engine_.wait_durable(1, 50));
    EXPECT_EQ(engine_.durable_below(0), 0);
    bad = false;
    EXPECT_TRUE(engine_.wait_durable(0, 10));
}

TEST_F(Forwarding, WhatNoRequestCanChangeEndsTheConsumer) {
    server_.decide = [](const auto&) { return answered(401, "who are you?"); };
    start();
    open(p0_);
    write(p0_, 0, 1);
    EXPECT_NE(engine_.wait_end().find("answered 401: who are you?"), std::string::npos);
    EXPECT_EQ(forwarder_->flush().kind, Outcome::Kind::accepted);
}

TEST_F(Forwarding, APartitionThatIsTakenAwayIsLetGoAtOnceThoughTheServerHangs) {
    server_.hanging = true;
    start();
    open(p0_);
    write(p0_, 0, 100);
    ASSERT_TRUE(server_.wait_sent(1));
    std::thread later([&] {
        std::this_thread::sleep_for(100ms);
        p0_->revoked = true;
    });
    const auto begin = Clock::now();
    forwarder_->flush();
    forwarder_->close(*p0_);
    EXPECT_LT(Clock::now() - begin, 5s);
    later.join();
}

TEST_F(Forwarding, ATokenServerThatHangsHoldsUpNoEnd) {
    use_tokens();
    tokens_.hanging = true;
    start();
    for (int32_t p = 0; p < 4; p++) {
        const auto assignment = make_assignment(p);
        open(assignment);
        write(assignment, 0, 10);  // all senders want the token
    }
    ASSERT_TRUE(tokens_.wait_sent(1));
    const auto begin = Clock::now();
    stop();
    EXPECT_LT(Clock::now() - begin, 5s);
    EXPECT_EQ(tokens_.all().size(), 1u);
    EXPECT_EQ(server_.all().size(), 0u);
}

TEST_F(Forwarding, NothingOfAPartitionGoesOutThatWasTakenAwayWhileTheTokenWasFetched) {
    use_tokens();
    tokens_.hanging = true;
    start();
    open(p0_);
    write(p0_, 0, 10);
    ASSERT_TRUE(tokens_.wait_sent(1));
    p0_->revoked = true;
    forwarder_->flush();
    forwarder_->close(*p0_);
    tokens_.answer_again();
    open(p1_);
    write(p1_, 0, 10);
    EXPECT_TRUE(engine_.wait_durable(1, 10));
    for (const auto& sent : server_.all()) EXPECT_EQ(sent.key.find("/0/0-9"), std::string::npos) << sent.key;
}

TEST_F(Forwarding, LessThanARequestGoesOutWhenItStops) {
    options_.limits.linger = 1h;
    start();
    open(p0_);
    write(p0_, 0, 3);
    EXPECT_EQ(server_.all().size(), 0u);
    forwarder_->flush();
    EXPECT_EQ(engine_.durable_below(0), 3);
}

TEST_F(Forwarding, ManySmallBatchesDoNotWaitForTheLinger) {
    options_.limits = {1'000'000, 1 << 20, 1h, true};
    start();
    open(p0_);
    for (int i = 0; i < 32; i++) write(p0_, i, 1);
    EXPECT_TRUE(engine_.wait_durable(0, 20));
    for (int32_t p = 1; p < 16; p++) open(make_assignment(p));
    for (int i = 32; i < 34; i++) write(p0_, i, 1);  // more the engine would not give to one of 16
    EXPECT_TRUE(engine_.wait_durable(0, 33));
}

// Which cores the senders of two partitions may run on, both at once under way.
class ForwardingPinned : public Forwarding, public ::testing::WithParamInterface<bool> {};

TEST_P(ForwardingPinned, EachSenderKeepsToOneCoreWhereThreadsArePinned) {
    pin_threads_ = GetParam();
    options_.max_in_flight = 2;
    std::vector<int> cores;
    server_.decide = [&](const auto&) {  // called with the server's lock held
        cpu_set_t allowed;
        EXPECT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
        cores.push_back(CPU_COUNT(&allowed));
        return answered(200);
    };
    cpu_set_t here;
    ASSERT_EQ(sched_getaffinity(0, sizeof here, &here), 0);
    start();
    open(p0_);
    open(p1_);
    server_.hanging = true;
    write(p0_, 0, 10);
    write(p1_, 0, 10);
    ASSERT_TRUE(server_.wait_sent(2));
    server_.answer_again();
    EXPECT_TRUE(engine_.wait_durable(0, 10));
    EXPECT_TRUE(engine_.wait_durable(1, 10));
    EXPECT_EQ(cores, std::vector<int>(2, GetParam() ? 1 : CPU_COUNT(&here)));
}

INSTANTIATE_TEST_SUITE_P(BothWays, ForwardingPinned, ::testing::Bool());

}  // namespace
}  // namespace fetcher
