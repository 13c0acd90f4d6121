// KafkaAdmin against librdkafka's mock cluster, which says what a real one says only now and then.
#include "engine/kafka_admin.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <string>

namespace fetcher {
namespace {

using std::chrono::seconds;

constexpr int16_t kListOffsets = 2;
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

    void commit(const char* group, int32_t partition, int64_t offset) {
        char error[256];
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        rd_kafka_conf_set(conf, "bootstrap.servers", servers().c_str(), error, sizeof error);
        rd_kafka_conf_set(conf, "group.id", group, error, sizeof error);
        rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
        rd_kafka_topic_partition_list_t* offsets = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(offsets, "topic", partition)->offset = offset;
        EXPECT_EQ(rd_kafka_commit(consumer, offsets, 0), RD_KAFKA_RESP_ERR_NO_ERROR);
        rd_kafka_topic_partition_list_destroy(offsets);
        rd_kafka_destroy(consumer);
    }

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

TEST_F(KafkaAdminTest, APartitionWhoseLeaderIsOnItsWayIsAskedForAgain) {
    commit("group", 0, 0);
    for (const auto error : {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
                             RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
                             RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE}) {
        rd_kafka_mock_push_request_errors(cluster_, kListOffsets, 1, error);
        const auto lag = KafkaAdmin::group_lag({servers(), {}}, "group", "topic", seconds(10));
        ASSERT_TRUE(lag) << lag.error().reason;
    }

    rd_kafka_mock_push_request_errors(cluster_, kListOffsets, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    const auto refused = KafkaAdmin::group_lag({servers(), {}}, "group", "topic", seconds(10));
    ASSERT_FALSE(refused) << "nothing is on its way here";
    EXPECT_NE(refused.error().reason.find("Topic authorization failed"), std::string::npos) << refused.error().reason;
}

}  // namespace
}  // namespace fetcher
