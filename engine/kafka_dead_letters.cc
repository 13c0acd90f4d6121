#include "engine/kafka_dead_letters.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <mutex>
#include <utility>

#include "engine/assignment.h"
#include "engine/dead_letter_headers.h"
#include "engine/kafka_client.h"
#include "engine/iso_time.h"

namespace fetcher {
namespace {

using KafkaHeaders = Holder<rd_kafka_headers_t, rd_kafka_headers_destroy>;
namespace header = dead_letter_header;

constexpr int kPollMs = 50;
constexpr size_t kLongestError = 2'000;  // bytes; the rest of an endpoint's or database's words helps nobody

// What became of the records of one call. The reports come in whichever thread polls.
struct Delivery {
    std::atomic<size_t> outstanding{0};
    std::atomic<int> first_error{RD_KAFKA_RESP_ERR_NO_ERROR};

    void report(rd_kafka_resp_err_t error) {
        int none = RD_KAFKA_RESP_ERR_NO_ERROR;
        if (error) first_error.compare_exchange_strong(none, error);
        outstanding.fetch_sub(1, std::memory_order_release);
    }
};

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) { static_cast<Delivery*>(message->_private)->report(message->err); }

void add(rd_kafka_headers_t* headers, const char* name, const std::string& text) {
    rd_kafka_header_add(headers, name, -1, text.data(), static_cast<ssize_t>(text.size()));
}

// Headers of ours that the record has from an earlier refusal are replaced.
KafkaHeaders headers_of(const Record& record, const Assignment& from, const std::string& why, const Refuser& refuser, const std::string& now) {
    KafkaHeaders headers(rd_kafka_headers_new(record.header_count() + 11));
    record.for_each_header([&](const Header& each) {
        if (each.name.starts_with(header::kPrefix)) return;
        const auto value = each.value.value_or(std::string_view{});
        rd_kafka_header_add(headers.get(), each.name.data(), static_cast<ssize_t>(each.name.size()), each.value ? value.data() : nullptr,
                            static_cast<ssize_t>(value.size()));
    });
    add(headers.get(), header::kError, why.substr(0, kLongestError));
    add(headers.get(), header::kProcessorId, refuser.processor_id);
    add(headers.get(), header::kProcessorType, refuser.processor_type);
    add(headers.get(), header::kConsumerId, from.consumer_id);
    add(headers.get(), header::kGroup, from.group);
    add(headers.get(), header::kTopic, from.topic);
    add(headers.get(), header::kPartition, std::to_string(from.partition));
    add(headers.get(), header::kOffset, std::to_string(record.offset()));
    add(headers.get(), header::kTimestamp, std::to_string(record.timestamp_ms()));
    add(headers.get(), header::kFailedAt, now);
    add(headers.get(), header::kReplays, std::to_string(refuser.replays));
    return headers;
}

class KafkaDeadLetters final : public DeadLetters {
  public:
    explicit KafkaDeadLetters(KafkaDeadLettersOptions options) : options_(std::move(options)) {}

    Result<void> keep(const Batch& batch, const std::vector<BadRecord>& bad, const Refuser& refuser) override {
        const auto producer = producer_now();
        if (!producer) return tl::unexpected(producer.error());
        rd_kafka_t* client = producer->get();
        Delivery delivery;
        const auto now = iso_time(std::chrono::system_clock::now());
        for (const auto& [index, why] : bad) {
            delivery.outstanding.fetch_add(1, std::memory_order_relaxed);
            if (const auto error = send(client, batch.record(index), headers_of(batch.record(index), batch.assignment(), why, refuser, now), delivery))
                delivery.report(error);
        }
        // Bounded by message.timeout.ms: every record is reported by then.
        while (delivery.outstanding.load(std::memory_order_acquire) > 0) rd_kafka_poll(client, kPollMs);
        const auto error = static_cast<rd_kafka_resp_err_t>(delivery.first_error.load());
        if (!error) return {};
        drop_if_broken(*producer, error);
        return transient("dead letters cannot be kept in topic " + options_.topic + " at " + options_.cluster.servers + ": " +
                         rd_kafka_err2str(error) + "; nothing behind them is delivered until they are" +
                         (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ? ". Create the topic" : ""));
    }

  private:
    rd_kafka_resp_err_t send(rd_kafka_t* client, const Record& record, KafkaHeaders headers, Delivery& delivery) const {
        const auto key = record.key().value_or(std::string_view{});
        const auto value = record.value().value_or(std::string_view{});
        // The library tells null from empty by the pointer.
        const auto bytes = [](bool there, std::string_view text) { return there ? const_cast<char*>(text.data() ? text.data() : "") : nullptr; };
        const auto error = rd_kafka_producev(client, RD_KAFKA_V_TOPIC(options_.topic.c_str()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                             RD_KAFKA_V_KEY(bytes(record.key().has_value(), key), key.size()),
                                             RD_KAFKA_V_VALUE(bytes(record.value().has_value(), value), value.size()),
                                             RD_KAFKA_V_TIMESTAMP(record.timestamp_ms() > 0 ? record.timestamp_ms() : 0),
                                             RD_KAFKA_V_HEADERS(headers.get()), RD_KAFKA_V_OPAQUE(&delivery), RD_KAFKA_V_END);
        if (!error) headers.release();  // it has them now
        return error;
    }

    // One for all threads, made when it is first needed.
    Result<std::shared_ptr<rd_kafka_t>> producer_now() {
        const std::lock_guard lock(mutex_);
        if (producer_) return producer_;
        KafkaProperties properties = {{"client.id", "kafka-fetcher-dead-letters"},
                                      {"enable.idempotence", "true"},
                                      {"acks", "all"},
                                      {"linger.ms", "0"},
                                      {"message.timeout.ms", "5000"},
                                      {"topic.metadata.propagation.max.ms", "2000"},
                                      {"message.max.bytes", "1000000000"},  // the broker decides
                                      {"reconnect.backoff.max.ms", "2000"}};
        std::ranges::move(connection_properties(options_.cluster), std::back_inserter(properties));
        auto conf = make_kafka_conf(properties);
        if (!conf) return tl::unexpected(conf.error());
        rd_kafka_conf_set_dr_msg_cb(conf->get(), on_delivery);
        auto made = make_kafka_client(RD_KAFKA_PRODUCER, std::move(*conf));
        if (!made) return tl::unexpected(made.error());
        producer_ = std::shared_ptr<rd_kafka_t>(made->release(), rd_kafka_destroy);
        return producer_;
    }

    // An idempotent producer that has lost its place in the sequence sends nothing any more; nor does one that was told, by a broker that was about to stop, of
    // a cluster without brokers, and has forgotten where it found them.
    void drop_if_broken(const std::shared_ptr<rd_kafka_t>& producer, rd_kafka_resp_err_t error) {
        char text[256];
        if (error != RD_KAFKA_RESP_ERR__MSG_TIMED_OUT && !rd_kafka_fatal_error(producer.get(), text, sizeof text)) return;
        const std::lock_guard lock(mutex_);
        if (producer_ == producer) producer_.reset();
    }

    const KafkaDeadLettersOptions options_;
    std::mutex mutex_;
    std::shared_ptr<rd_kafka_t> producer_;
};

}  // namespace

std::unique_ptr<DeadLetters> make_kafka_dead_letters(KafkaDeadLettersOptions options) {
    return std::make_unique<KafkaDeadLetters>(std::move(options));
}

}  // namespace fetcher
