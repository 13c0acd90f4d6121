// Dead letters in a topic of librdkafka's mock cluster, and back.
#include "engine/kafka_dead_letters.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <string>

#include "engine/assignment.h"
#include "engine/kafka_dead_letter_reader.h"

namespace fetcher {
namespace {

using namespace std::chrono_literals;

class KafkaDeadLettersTest : public testing::Test {
  protected:
    KafkaDeadLettersTest() {
        char error[256];
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", error, sizeof error);
        producer_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
        cluster_ = rd_kafka_handle_mock_cluster(producer_);
        rd_kafka_mock_topic_create(cluster_, "dead", 1, 1);
        auto assignment = std::make_shared<Assignment>();
        assignment->consumer_id = "c";
        assignment->group = "g";
        assignment->topic = "t";
        assignment->partition = 3;
        batch_.begin(std::move(assignment), 40);
    }
    ~KafkaDeadLettersTest() override { rd_kafka_destroy(producer_); }

    KafkaCluster cluster() const { return {rd_kafka_mock_cluster_bootstraps(cluster_), {}}; }
    Result<void> keep(const std::vector<BadRecord>& bad) {
        return make_kafka_dead_letters({cluster(), "dead"})->keep(batch_, bad, {"p", "database_sync", 2});
    }
    std::vector<DeadLetter> read() {
        const auto page = make_kafka_dead_letter_reader(cluster(), "dead", "g")->read("c", {}, 100, std::chrono::steady_clock::now() + 10s);
        EXPECT_TRUE(page) << page.error().reason;
        return page ? page->items : std::vector<DeadLetter>{};
    }

    rd_kafka_t* producer_ = nullptr;
    rd_kafka_mock_cluster_t* cluster_ = nullptr;
    Batch batch_;
};

// Kafka takes 0 for "now", and a topic may give each message the time at which it arrived.
TEST_F(KafkaDeadLettersTest, KeepTheTimestampOfTheRecordWhateverItIs) {
    const std::vector<int64_t> times = {1'700'000'000'123, 0, -1};
    for (size_t i = 0; i < times.size(); i++) batch_.add(40 + static_cast<int64_t>(i), times[i], "v");
    ASSERT_TRUE(keep({{0, "bad"}, {1, "bad"}, {2, "bad"}}));
    const auto letters = read();
    ASSERT_EQ(letters.size(), times.size());
    for (size_t i = 0; i < times.size(); i++) EXPECT_EQ(letters[i].timestamp_ms, times[i]);
}

TEST_F(KafkaDeadLettersTest, OfOneRefusalHaveOneIdHoweverOftenTheyAreKept) {
    batch_.add(40, 0, "v");
    for (int twice = 0; twice < 2; twice++) ASSERT_TRUE(keep({{0, "bad"}}));
    auto letters = read();
    ASSERT_EQ(letters.size(), 2u);
    EXPECT_EQ(letters[0].id(), letters[1].id());
    letters[1].topic = "another";
    EXPECT_NE(letters[0].id(), letters[1].id());
}

TEST_F(KafkaDeadLettersTest, OfABuildThatDidNotKeepTheTimestampHaveTheMessages) {
    char offset[] = "7";
    char id[] = "c";
    rd_kafka_producev(producer_, RD_KAFKA_V_TOPIC("dead"), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_TIMESTAMP(1'700'000'000'123),
                      RD_KAFKA_V_HEADER("kafka-fetcher-consumer-id", id, 1), RD_KAFKA_V_HEADER("kafka-fetcher-offset", offset, 1), RD_KAFKA_V_END);
    ASSERT_EQ(rd_kafka_flush(producer_, 10'000), RD_KAFKA_RESP_ERR_NO_ERROR);
    const auto letters = read();
    ASSERT_EQ(letters.size(), 1u);
    EXPECT_EQ(letters[0].offset, 7);
    EXPECT_EQ(letters[0].timestamp_ms, 1'700'000'000'123);
}

}  // namespace
}  // namespace fetcher
