// KafkaAdmin against librdkafka's mock cluster, which says what a real one says only now and then.
#include "engine/kafka_admin.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <string>

namespace fetcher {
namespace {

using std::chrono::seconds;

constexpr int16_t kOffsetFetch = 9;

class KafkaAdminTest : public testing::Test {
  protected:
    KafkaAdminTest() {
        char error[256];
        host_ = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), error, sizeof error);
        cluster_ = rd_kafka_mock_cluster_new(host_, 1);
        rd_kafka_mock_topic_create(cluster_, "topic", 2, 1);
    }
    ~KafkaAdminTest() override {
        rd_kafka_mock_cluster_destroy(cluster_);
        rd_kafka_destroy(host_);
    }
    std::string servers() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }

    rd_kafka_t* host_ = nullptr;
    rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

// librdkafka looks for the coordinator anew in the name of the client's own group: a client without one ends the process.
TEST_F(KafkaAdminTest, ACoordinatorThatHasMovedIsAskedForAgain) {
    for (const auto error : {RD_KAFKA_RESP_ERR_NOT_COORDINATOR, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
                             RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS}) {
        rd_kafka_mock_push_request_errors(cluster_, kOffsetFetch, 1, error);
        const auto lag = KafkaAdmin::group_lag({servers(), {}}, "group", "topic", seconds(10));
        ASSERT_FALSE(lag);
        EXPECT_EQ(lag.error().kind, KafkaAdminError::Kind::unknown_group) << "answered when asked again: " << lag.error().reason;
    }
}

}  // namespace
}  // namespace fetcher
