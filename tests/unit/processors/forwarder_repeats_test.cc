// What a forwarder sends again after an end of the process, whatever the engine gives it when.
#include "forwarder_world.h"

namespace fetcher {
namespace {

class ForwardingAgain : public Forwarding {
  protected:
    // The process ends while one request with the first `records` of p0_, all that have come, has no answer. False: none was sent.
    bool end_amid_a_request_of(int64_t records) {
        server_.hanging = true;
        start();
        open(p0_);
        write(p0_, 0, records);
        const bool sent = server_.wait_sent(1);
        stop();
        server_.hanging = false;
        return sent;
    }
};

TEST_F(ForwardingAgain, ARepetitionAfterTheEndOfTheProcessIsTheVerySameRequest) {
    ASSERT_TRUE(end_amid_a_request_of(3));
    start();
    EXPECT_EQ(open(p0_)->next_offset, 0);
    write(p0_, 0, 25);  // now there is more
    EXPECT_TRUE(engine_.wait_durable(0, 25));
    const auto sent = server_.all();
    ASSERT_GE(sent.size(), 3u);
    EXPECT_EQ(sent[0].body, "0\n1\n2\n");
    EXPECT_EQ(sent[1], sent[0]);
    EXPECT_EQ(sent[2].key, p0_->consumer_id + "/topic/0/3-12");
}

TEST_F(ForwardingAgain, ARepetitionIsTheSameThoughTheEngineGivesFewBatchesOfManyPartitions) {
    options_.limits.max_records = 100;
    ASSERT_TRUE(end_amid_a_request_of(10));
    start();
    open(p0_);
    for (int32_t p = 1; p < 16; p++) open(make_assignment(p));
    for (int64_t first = 0; first < 9; first += 3) write(p0_, first, 3);
    EXPECT_EQ(engine_.held(), 0u) << "more the engine would not give before it has some back";
    write(p0_, 9, 30);
    EXPECT_TRUE(engine_.wait_durable(0, 39));
    EXPECT_EQ(server_.all()[1], server_.all()[0]);
}

TEST_F(ForwardingAgain, ARepetitionIsTheSameAfterOneMoreStopBeforeItsRecordsWereThere) {
    options_.limits.max_records = 100;
    ASSERT_TRUE(end_amid_a_request_of(10));
    for (int i = 0; i < 2; i++) {
        start();
        open(p0_);
        write(p0_, 0, 4);
        forwarder_->flush();
        forwarder_->close(*p0_);
        stop();
        EXPECT_EQ(server_.all().size(), 1u) << "a part of it would come under another key";
    }
    start();
    EXPECT_EQ(open(p0_)->next_offset, 0);
    write(p0_, 0, 20);
    EXPECT_TRUE(engine_.wait_durable(0, 20));
    EXPECT_EQ(server_.all()[1], server_.all()[0]);
}

TEST_F(ForwardingAgain, WhatWasSentTogetherGoesRecordByRecordWhenThatIsAskedForMeanwhile) {
    ASSERT_TRUE(end_amid_a_request_of(3));
    options_.format.framing = BodyFormat::Framing::single;
    options_.limits.max_records = 1;
    start();
    open(p0_);
    write(p0_, 0, 3);
    EXPECT_TRUE(engine_.wait_durable(0, 3));
    ASSERT_EQ(server_.all().size(), 4u);
    for (size_t i = 0; i < 3; i++) EXPECT_EQ(server_.all()[i + 1].body, std::to_string(i));
}

TEST_F(ForwardingAgain, WhatWasSentTogetherIsSentTogetherThoughRequestsMayHoldLessMeanwhile) {
    ASSERT_TRUE(end_amid_a_request_of(3));
    options_.limits.max_records = 1;
    start();
    open(p0_);
    write(p0_, 0, 5);
    EXPECT_TRUE(engine_.wait_durable(0, 5));
    ASSERT_EQ(server_.all().size(), 4u);
    EXPECT_EQ(server_.all()[1], server_.all()[0]);
    EXPECT_EQ(server_.all()[2].key, p0_->consumer_id + "/topic/0/3-3");
}

TEST_F(ForwardingAgain, InAnotherFramingItIsTheSameRecordsUnderTheSameKey) {
    ASSERT_TRUE(end_amid_a_request_of(3));
    options_.format.framing = BodyFormat::Framing::json_array;
    start();
    open(p0_);
    write(p0_, 0, 5);
    EXPECT_TRUE(engine_.wait_durable(0, 5));
    EXPECT_EQ(server_.all()[1].key, server_.all()[0].key);
    EXPECT_EQ(server_.all()[1].body, "[0,1,2]");
}

TEST_F(ForwardingAgain, ATopicThatWasCreatedAnewIsNotCutAsTheOldOne) {
    ASSERT_TRUE(end_amid_a_request_of(3));
    start();
    const auto anew = make_assignment(0, "group", "another-topic-id");
    EXPECT_EQ(open(anew)->topic_id, p0_->topic_id);
    write(anew, 0, 10);
    EXPECT_TRUE(engine_.wait_durable(0, 10));
    EXPECT_EQ(server_.all()[1].key, p0_->consumer_id + "/topic/0/0-9");
}

}  // namespace
}  // namespace fetcher
