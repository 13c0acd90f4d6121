#include "engine/kafka_dead_letter_reader.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "engine/dead_letter_headers.h"
#include "engine/kafka_client.h"

namespace fetcher {
namespace {

using Clock = std::chrono::steady_clock;
using Millis = std::chrono::milliseconds;
namespace header = dead_letter_header;

struct DestroyMessage {
    void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};
using KafkaMessage = std::unique_ptr<rd_kafka_message_t, DestroyMessage>;

Millis left(Clock::time_point until) { return std::max(Millis(1), std::chrono::duration_cast<Millis>(until - Clock::now())); }

std::optional<std::string> text_of(const void* bytes, size_t size) {
    return bytes ? std::optional<std::string>(std::string(static_cast<const char*>(bytes), size)) : std::nullopt;
}

template <class Number>
void read_number(const std::string& text, Number& into) {
    std::from_chars(text.data(), text.data() + text.size(), into);
}

// Puts one of our headers where it belongs.
void take_ours(const std::string& name, const std::string& text, DeadLetter& letter) {
    if (name == header::kError) letter.error = text;
    else if (name == header::kProcessorId) letter.processor_id = text;
    else if (name == header::kProcessorType) letter.processor_type = text;
    else if (name == header::kConsumerId) letter.consumer_id = text;
    else if (name == header::kGroup) letter.group = text;
    else if (name == header::kTopic) letter.topic = text;
    else if (name == header::kFailedAt) letter.failed_at = text;
    else if (name == header::kPartition) read_number(text, letter.partition);
    else if (name == header::kOffset) read_number(text, letter.offset);
    else if (name == header::kTimestamp) read_number(text, letter.timestamp_ms);  // older builds have left it to the message
    else if (name == header::kReplays) read_number(text, letter.replays);
}

DeadLetter letter_of(const rd_kafka_message_t& message) {
    DeadLetter letter;
    letter.place = {message.partition, message.offset};
    letter.timestamp_ms = rd_kafka_message_timestamp(&message, nullptr);
    letter.key = text_of(message.key, message.key_len);
    letter.value = text_of(message.payload, message.len);
    for_each_header(message, [&](const char* name, const void* bytes, size_t size) {
        auto text = text_of(bytes, size);
        if (std::string_view(name).starts_with(header::kPrefix)) take_ours(name, text.value_or(""), letter);
        else letter.headers.emplace_back(name, std::move(text));
    });
    return letter;
}

class KafkaDeadLetterReader final : public DeadLetterReader {
  public:
    KafkaDeadLetterReader(KafkaCluster cluster, std::string topic, std::string group)
        : cluster_(std::move(cluster)), topic_(std::move(topic)), group_(std::move(group)) {}

    Result<DeadLetterPage> read(const std::string& consumer_id, DeadLetterPlace from, size_t limit, Clock::time_point until) override {
        const auto fail = [&](const std::string& why) { return transient("topic " + topic_ + " at " + cluster_.servers + " cannot be read: " + why); };
        if (auto connected = connect(); !connected) return fail(connected.error().reason);
        auto topic = describe_topic(client_.get(), topic_, left(until));
        if (!topic) return fail(topic.error().reason);
        if (topic->partitions.empty()) return fail("there is no such topic; it is needed for dead letters to be kept");
        std::ranges::sort(topic->partitions);

        DeadLetterPage page;
        size_t bytes = 0;
        for (const int32_t partition : topic->partitions) {
            if (partition < from.partition) continue;
            DeadLetterPlace at{partition, partition == from.partition ? from.offset : 0};
            if (const auto error = begin_at(at)) return fail(rd_kafka_err2str(error));
            for (bool more = true; more;) {
                const bool full = page.items.size() >= limit || bytes >= kPageBytes;
                if (full || Clock::now() >= until) {
                    page.next = at;
                    return page;
                }
                const KafkaMessage message(rd_kafka_consumer_poll(client_.get(), timeout_ms(left(until))));
                if (!message) continue;
                if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) more = false;
                else if (message->err) return fail(rd_kafka_message_errstr(message.get()));
                if (message->err) continue;
                at.offset = message->offset + 1;
                auto letter = letter_of(*message);
                if (letter.consumer_id != consumer_id) continue;
                bytes += letter.payload_bytes();
                page.items.push_back(std::move(letter));
            }
        }
        return page;
    }

  private:
    Result<void> connect() {
        if (client_) return {};
        KafkaProperties properties = {{"client.id", "kafka-fetcher-dead-letters"},
                                      {"group.id", group_},
                                      {"enable.auto.commit", "false"},
                                      {"enable.auto.offset.store", "false"},
                                      {"auto.offset.reset", "earliest"},
                                      {"enable.partition.eof", "true"},
                                      {"fetch.wait.max.ms", "10"},  // the end of each partition is waited for
                                      {"queued.max.messages.kbytes", "8192"}};
        std::ranges::move(connection_properties(cluster_), std::back_inserter(properties));
        auto conf = make_kafka_conf(properties);
        if (!conf) return tl::unexpected(conf.error());
        auto client = make_kafka_client(RD_KAFKA_CONSUMER, std::move(*conf));
        if (!client) return tl::unexpected(client.error());
        client_.reset(client->release());
        rd_kafka_poll_set_consumer(client_.get());
        return {};
    }

    // What was fetched of the partition before goes with its assignment.
    rd_kafka_resp_err_t begin_at(const DeadLetterPlace& at) const {
        const auto list = partition_list(topic_, {at.partition}, at.offset);
        return rd_kafka_assign(client_.get(), list.get());
    }

    const KafkaCluster cluster_;
    const std::string topic_;
    const std::string group_;
    KafkaConsumerHandle client_;
};

}  // namespace

std::unique_ptr<DeadLetterReader> make_kafka_dead_letter_reader(KafkaCluster cluster, std::string topic, std::string group) {
    return std::make_unique<KafkaDeadLetterReader>(std::move(cluster), std::move(topic), std::move(group));
}

}  // namespace fetcher
