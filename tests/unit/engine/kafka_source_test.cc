// KafkaSource against librdkafka's mock cluster, which fails when it is told to.
#include "engine/kafka_source.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <algorithm>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "engine/assignment.h"
#include "engine/broker_watch.h"

namespace fetcher {
namespace {

using namespace std::chrono_literals;

constexpr int kRecords = 2'000;
constexpr size_t kRecordBytes = 1'000;
constexpr int16_t kListOffsets = 2;  // in Kafka's protocol

class KafkaSourceTest : public testing::Test, protected SourceEvents {
  protected:
    KafkaSourceTest() {
        char error[256];
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        for (const auto& [name, value] : {std::pair{"test.mock.num.brokers", "1"}, {"batch.num.messages", "20"}, {"linger.ms", "5"}}) {
            rd_kafka_conf_set(conf, name, value, error, sizeof error);
        }
        producer_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
        cluster_ = rd_kafka_handle_mock_cluster(producer_);
        rd_kafka_mock_group_initial_rebalance_delay_ms(cluster_, 0);
        rd_kafka_mock_topic_create(cluster_, "topic", 1, 1);
        const std::string value(kRecordBytes, 'x');
        for (int i = 0; i < kRecords; i++) {
            rd_kafka_producev(producer_, RD_KAFKA_V_TOPIC("topic"), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()), RD_KAFKA_V_END);
        }
        EXPECT_EQ(rd_kafka_flush(producer_, 10'000), RD_KAFKA_RESP_ERR_NO_ERROR);

        KafkaSourceOptions options;
        options.cluster.servers = rd_kafka_mock_cluster_bootstraps(cluster_);
        options.topic = "topic";
        options.group = "group";
        options.partition_assignment_strategy = "range";
        options.prefetch_bytes_per_partition = 64 << 10;  // less than there is: the rest is fetched when these have been taken
        source_ = std::move(*KafkaSource::create(options, doorbell_));
    }
    ~KafkaSourceTest() override {
        queue_.reset();
        source_->close(5s);
        source_.reset();
        rd_kafka_destroy(producer_);
    }

    void on_assigned(const std::vector<int32_t>&) override {
        queue_ = source_->queue(0);
        if (rtt_ms_ > 0) rd_kafka_mock_broker_set_rtt(cluster_, 1, rtt_ms_);
        source_->assign({{0, kNotKnownYet}});
        assigned_ = true;
    }
    void on_revoked(const std::vector<int32_t>& partitions, bool) override { source_->unassign(partitions); }
    void on_committed(const std::vector<PartitionStart>&, const std::string&) override {}
    void on_log_ends(const std::map<int32_t, int64_t>& log_end_offsets, bool) override {
        answers_++;
        log_ends_ = log_end_offsets;
    }
    void on_trouble(const SourceTrouble& trouble) override {
        if (trouble.kind != SourceTrouble::Kind::hiccup) troubles_.push_back(trouble);
    }

    // The partition's broker says `error` instead, unless it is none.
    bool ask_log_end(rd_kafka_resp_err_t error) {
        if (error) rd_kafka_mock_push_request_errors(cluster_, kListOffsets, 1, error);
        source_->ask_log_ends({0});
        return serve_until([this, before = answers_] { return answers_ > before; });
    }

    template <class Done>
    bool serve_until(Done&& done, std::chrono::seconds timeout = 10s) {
        const auto until = std::chrono::steady_clock::now() + timeout;
        while (!done() && std::chrono::steady_clock::now() < until) {
            source_->serve();
            std::this_thread::sleep_for(5ms);
        }
        return done();
    }

    Doorbell doorbell_;
    rd_kafka_t* producer_ = nullptr;
    rd_kafka_mock_cluster_t* cluster_ = nullptr;
    std::unique_ptr<KafkaSource> source_;
    std::unique_ptr<PartitionQueue> queue_;
    int rtt_ms_ = 0;  // of the broker, from the assignment on
    bool assigned_ = false;
    int answers_ = 0;  // to ask_log_ends()
    std::map<int32_t, int64_t> log_ends_;
    std::vector<SourceTrouble> troubles_;
};

// A partition that was made a moment ago, or has just moved, has a leader that does not know it yet.
TEST_F(KafkaSourceTest, APartitionWhoseLeaderIsOnItsWayIsNoTroubleUntilItStaysSo) {
    ASSERT_TRUE(source_->subscribe(*this));
    ASSERT_TRUE(ask_log_end(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION));
    EXPECT_TRUE(log_ends_.empty());
    ASSERT_TRUE(ask_log_end(RD_KAFKA_RESP_ERR_NO_ERROR));
    EXPECT_EQ(log_ends_, (std::map<int32_t, int64_t>{{0, kRecords}}));
    ASSERT_TRUE(ask_log_end(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION));
    EXPECT_TRUE(troubles_.empty()) << troubles_[0].reason;

    std::this_thread::sleep_for(BrokerWatch::kPatience);
    ASSERT_TRUE(ask_log_end(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION));
    ASSERT_EQ(troubles_.size(), 1);
    EXPECT_EQ(troubles_[0].kind, SourceTrouble::Kind::broker_unreachable);
    EXPECT_NE(troubles_[0].reason.find("partition 0: Broker: Not leader for partition"), std::string::npos) << troubles_[0].reason;
}

// librdkafka hands out a negative number, as if it were the answer.
TEST_F(KafkaSourceTest, OffsetsThatNobodyHasToldAreNone) {
    ASSERT_TRUE(source_->subscribe(*this));
    ASSERT_TRUE(serve_until([&] { return assigned_; }));
    const auto known = source_->bounds({0}, 5s);
    ASSERT_TRUE(known) << known.error().reason;
    EXPECT_EQ(known->at(0).low, 0);
    EXPECT_EQ(known->at(0).high, kRecords);
    for (int i = 0; i < 20; i++) rd_kafka_mock_push_request_errors(cluster_, kListOffsets, 1, RD_KAFKA_RESP_ERR__TRANSPORT);
    const auto bounds = source_->bounds({0}, 1s);
    ASSERT_FALSE(bounds) << bounds->at(0).low << " to " << bounds->at(0).high;
    EXPECT_NE(bounds.error().reason.find("partition 0: its leader does not answer"), std::string::npos) << bounds.error().reason;
    rd_kafka_mock_clear_request_errors(cluster_, kListOffsets);
}

// Within seconds, and not only when librdkafka gives a request up.
TEST_F(KafkaSourceTest, ABrokerThatDoesNotAnswerIsToldOf) {
    ASSERT_TRUE(source_->subscribe(*this));
    ASSERT_TRUE(ask_log_end(RD_KAFKA_RESP_ERR_NO_ERROR));
    rd_kafka_mock_broker_set_down(cluster_, 1);
    log_ends_.clear();
    source_->ask_log_ends({0});
    const auto is_told = [](const SourceTrouble& trouble) {
        return trouble.kind == SourceTrouble::Kind::broker_unreachable && trouble.reason.starts_with("the broker does not answer");
    };
    EXPECT_TRUE(serve_until([&] { return std::ranges::any_of(troubles_, is_told); }, 20s)) << "librdkafka itself takes 30 s";
    EXPECT_TRUE(log_ends_.empty()) << log_ends_[0];
    rd_kafka_mock_broker_set_up(cluster_, 1);
    ASSERT_TRUE(serve_until(
        [&] {
            source_->ask_log_ends({0});
            std::this_thread::sleep_for(200ms);
            return !log_ends_.empty();
        },
        30s));
    EXPECT_EQ(log_ends_, (std::map<int32_t, int64_t>{{0, kRecords}}));
}

// An answer about the log's end that is out of date makes librdkafka ask again, by a timer that knows of no seek: the next answer would move the
// partition over what is unread.
TEST_F(KafkaSourceTest, APartitionWhoseStartWasNotKnownIsReadFromWhereItIsSoughtTo) {
    rtt_ms_ = 500;  // what is asked at the assignment is answered after the seek
    ASSERT_TRUE(source_->subscribe(*this));
    ASSERT_TRUE(serve_until([&] { return assigned_; }));
    std::this_thread::sleep_for(100ms);
    ASSERT_TRUE(source_->seek({0, 5}, 5s));
    rd_kafka_mock_broker_set_rtt(cluster_, 1, 0);
    std::this_thread::sleep_for(2s);  // by now a question would have been repeated, and answered
    const auto assignment = std::make_shared<Assignment>();
    Batch batch;
    int64_t next = 5;
    size_t records = 0;
    serve_until([&] {
        batch.begin(assignment, next);
        const auto drained = queue_->drain(batch, {}, 16 << 10);
        EXPECT_FALSE(drained.error) << drained.error->reason;
        records += batch.size();
        next = batch.next_offset();
        return next >= kRecords || drained.error;
    });
    EXPECT_EQ(next, kRecords);
    EXPECT_EQ(records, kRecords - 5) << "each record comes";
}

}  // namespace
}  // namespace fetcher
