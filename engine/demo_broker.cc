#include "engine/demo_broker.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>

#include "engine/doorbell.h"
#include "engine/kafka_client.h"

#include <librdkafka/rdkafka_mock.h>  // wants rdkafka.h before it

namespace fetcher {
namespace {

constexpr int kPartitions = 4;
constexpr int kTicksPerSecond = 20;

constexpr std::array kMerchants = {"Bakery on Main", "City Transit", "Corner Books", "Harbour Coffee", "Northside Grocer", "Volt Energy"};
constexpr std::array kCurrencies = {"EUR", "EUR", "EUR", "USD", "GBP", "CHF"};
constexpr std::array kStates = {"captured", "captured", "captured", "captured", "authorized", "refunded", "declined"};

struct Payment {
    std::string key;
    std::string value;
};

// Small amounts are common and large ones rare, accounts come back: a topic as a shop would have it.
Payment make_payment(uint64_t number, std::mt19937_64& random) {
    const auto pick = [&](const auto& from) { return from[random() % from.size()]; };
    const auto account = random() % 5'000;
    const double amount = std::lognormal_distribution<double>(3.0, 0.9)(random);
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    char value[320];
    const int n = std::snprintf(value, sizeof value,
                                R"({"payment_id":"pay_%012llu","account":"acc_%05llu","merchant":"%s","amount":%.2f,"currency":"%s","state":"%s","at_ms":%lld})",
                                static_cast<unsigned long long>(number), static_cast<unsigned long long>(account), pick(kMerchants), amount,
                                pick(kCurrencies), pick(kStates), static_cast<long long>(now));
    return {"acc_" + std::to_string(account), std::string(value, static_cast<size_t>(n))};
}

KafkaHandle must_connect(rd_kafka_type_t type, const KafkaProperties& properties) {
    auto conf = make_kafka_conf(properties);
    FETCHER_INVARIANT(conf, "the demo's client properties are ours");
    auto client = make_kafka_client(type, std::move(*conf));
    FETCHER_INVARIANT(client, "the demo's client can be made");
    return std::move(*client);
}

}  // namespace

class DemoBroker::Impl {
  public:
    explicit Impl(std::string topic) : topic_(std::move(topic)), host_(must_connect(RD_KAFKA_PRODUCER, {})) {
        cluster_ = rd_kafka_mock_cluster_new(host_.get(), 1);
        FETCHER_INVARIANT(cluster_, "the demo's broker can listen on loopback");
        servers_ = rd_kafka_mock_cluster_bootstraps(cluster_);
        rd_kafka_mock_group_initial_rebalance_delay_ms(cluster_, 0);  // nobody else joins: the first record need not wait
        rd_kafka_mock_topic_create(cluster_, topic_.c_str(), kPartitions, 1);
    }

    ~Impl() {
        stop_.store(true, std::memory_order_release);
        bell_.ring();
        if (thread_.joinable()) thread_.join();
        rd_kafka_mock_cluster_destroy(cluster_);
    }

    void generate(uint32_t records_per_second) {
        thread_ = std::thread([this, records_per_second] { run(records_per_second); });
    }

    const std::string& servers() const { return servers_; }
    uint64_t produced() const { return produced_.load(std::memory_order_relaxed); }

  private:
    void run(uint32_t records_per_second) {
        const auto producer = must_connect(RD_KAFKA_PRODUCER, {{"bootstrap.servers", servers_}, {"linger.ms", "5"}});
        std::mt19937_64 random{std::random_device{}()};
        const auto begin = std::chrono::steady_clock::now();
        for (uint64_t tick = 1, number = 0; !stop_.load(std::memory_order_acquire); tick++) {
            for (const uint64_t due = tick * records_per_second / kTicksPerSecond; number < due; number++) {
                const Payment payment = make_payment(number, random);
                const auto error = rd_kafka_producev(producer.get(), RD_KAFKA_V_TOPIC(topic_.c_str()),
                                                     RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                                     RD_KAFKA_V_KEY(payment.key.data(), payment.key.size()),
                                                     RD_KAFKA_V_VALUE(const_cast<char*>(payment.value.data()), payment.value.size()), RD_KAFKA_V_END);
                if (!error) produced_.fetch_add(1, std::memory_order_relaxed);
            }
            rd_kafka_poll(producer.get(), 0);
            bell_.wait_until(begin + tick * std::chrono::milliseconds(1'000 / kTicksPerSecond));
        }
    }

    const std::string topic_;
    KafkaHandle host_;  // the mock cluster lives in a client of its own
    rd_kafka_mock_cluster_t* cluster_ = nullptr;
    std::string servers_;
    std::atomic<uint64_t> produced_{0};
    std::atomic<bool> stop_{false};
    Doorbell bell_;
    std::thread thread_;
};

DemoBroker::DemoBroker(const std::string& topic) : impl_(std::make_unique<Impl>(topic)) {}
DemoBroker::~DemoBroker() = default;
const std::string& DemoBroker::bootstrap_servers() const { return impl_->servers(); }
void DemoBroker::generate(uint32_t records_per_second) { impl_->generate(records_per_second); }
uint64_t DemoBroker::produced() const { return impl_->produced(); }

}  // namespace fetcher
