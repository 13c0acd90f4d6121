// Fills a topic with the records of record_format.h, as fast as librdkafka goes or at a steady rate.
//
// Idempotent, so that its own retries (a broker that is killed and comes back) neither repeat nor reorder anything: what a reader then
// misses or sees twice is the reader's fault. Ends by itself at its count or its time, or at SIGTERM; what was produced is flushed first
// and told as one line of JSON.
#include <librdkafka/rdkafka.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/tools/record_format.h"

namespace {

using fetcher::testing::RecordHeader;
using Clock = std::chrono::steady_clock;

struct Options {
    std::string servers = "127.0.0.1:9092";
    std::string topic;
    std::string run = "00000001";
    std::vector<uint32_t> partitions;
    uint32_t partition_count = 1;
    uint64_t count = 0;
    uint64_t first_sequence = 0;
    size_t record_bytes = 200;
    double records_per_second = 0;
    double max_seconds = 600;
    std::vector<std::string> properties;
};

volatile std::sig_atomic_t stopping = 0;
uint64_t failed_records = 0;

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    if (failed_records++ == 0) std::fprintf(stderr, "record_producer: %s\n", rd_kafka_err2str(message->err));
}

uint64_t realtime_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

[[noreturn]] void die(const std::string& why) {
    std::fprintf(stderr, "record_producer: %s\n", why.c_str());
    std::exit(2);
}

void set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
    char error[256];
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error) != RD_KAFKA_CONF_OK) die(error);
}

rd_kafka_t* make_client(const Options& options) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", options.servers);
    set(conf, "enable.idempotence", "true");
    set(conf, "delivery.report.only.error", "true");
    set(conf, "message.timeout.ms", "0");  // waits for a broker for as long as this process may live
    set(conf, "linger.ms", "5");
    set(conf, "batch.num.messages", "100000");
    set(conf, "queue.buffering.max.messages", "2000000");
    set(conf, "queue.buffering.max.kbytes", "2000000");
    set(conf, "message.max.bytes", std::to_string(std::max<size_t>(1'000'000, options.record_bytes + 65'536)));
    for (const auto& property : options.properties) {
        const size_t equals = property.find('=');
        if (equals == std::string::npos) die("--property wants name=value: " + property);
        set(conf, property.substr(0, equals), property.substr(equals + 1));
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    char error[256];
    rd_kafka_t* client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (client == nullptr) die(error);
    return client;
}

class Producer {
  public:
    explicit Producer(const Options& options)
        : options_(options),
          run_(static_cast<uint32_t>(std::stoul(options.run, nullptr, 16))),
          client_(make_client(options)),
          topic_(rd_kafka_topic_new(client_, options.topic.c_str(), nullptr)),
          next_(options.first_sequence) {
        if (topic_ == nullptr) die(rd_kafka_err2str(rd_kafka_last_error()));
        std::minstd_rand random(1);
        constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        padding_.resize(kPaddingOffsets + options.record_bytes);
        for (char& c : padding_) c = kLetters[random() % kLetters.size()];
        const double per_chunk = options.records_per_second / 1000 / static_cast<double>(options.partitions.size());
        chunk_ = options.records_per_second > 0 ? static_cast<size_t>(std::clamp(per_chunk, 1.0, 256.0)) : 256;
        chunk_ = std::clamp<size_t>(chunk_, 1, std::max<size_t>(1, (4U << 20) / options.record_bytes));
        buffer_.resize(chunk_ * options.record_bytes);
        messages_.resize(chunk_);
        max_queued_ = std::clamp<size_t>((128U << 20) / options.record_bytes, 8, 200'000);
    }

    void run() {
        begin_ = Clock::now();
        while (!over()) send_round();
        while (rd_kafka_flush(client_, 500) == RD_KAFKA_RESP_ERR__TIMED_OUT && seconds() < options_.max_seconds) remind_of_brokers();
        seconds_ = seconds();
    }

    // Exit code: 0 if everything that was sent arrived.
    int report() {
        std::string next;
        for (const uint32_t partition : options_.partitions) {
            next += (next.empty() ? "\"" : ", \"") + std::to_string(partition) + "\": " + std::to_string(next_);
        }
        const auto unsent = static_cast<uint64_t>(rd_kafka_outq_len(client_)) + failed_records;
        std::printf("{\"run\": \"%s\", \"records\": %llu, \"undelivered\": %llu, \"seconds\": %.3f, \"rate\": %.0f, \"next\": {%s}}\n",
                    options_.run.c_str(), static_cast<unsigned long long>(sent_), static_cast<unsigned long long>(unsent), seconds_,
                    static_cast<double>(sent_) / std::max(seconds_, 1e-9), next.c_str());
        std::fflush(stdout);
        return unsent == 0 ? 0 : 1;
    }

  private:
    static constexpr size_t kPaddingOffsets = 4096;

    double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }
    bool over() const { return stopping != 0 || (options_.count > 0 && left() == 0) || seconds() >= options_.max_seconds; }
    uint64_t left() const { return options_.first_sequence + options_.count - next_; }

    // A broker that is about to stop may tell of a cluster without brokers: librdkafka 2.14 forgets them all then, and asks nobody any more.
    void remind_of_brokers() {
        const auto now = Clock::now();
        const auto waiting = static_cast<uint64_t>(rd_kafka_outq_len(client_));
        if (waiting == 0 || sent_ - waiting != delivered_) {
            delivered_ = sent_ - waiting;
            last_progress_ = now;
        } else if (now - last_progress_ > std::chrono::seconds(5)) {
            rd_kafka_brokers_add(client_, options_.servers.c_str());
            last_progress_ = now;
        }
    }

    void wait_for_rate() const {
        if (options_.records_per_second <= 0) return;
        std::this_thread::sleep_until(begin_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                                                   static_cast<double>(sent_) / options_.records_per_second)));
    }

    // Never lets librdkafka's own queue fill up: a batch that it takes only in part would lose its order.
    void wait_for_room() {
        while (static_cast<size_t>(rd_kafka_outq_len(client_)) > max_queued_ && seconds() < options_.max_seconds) {
            rd_kafka_poll(client_, 2);
            remind_of_brokers();
        }
    }

    // As many records for each partition, so that all of them end at the same number.
    void send_round() {
        const size_t n = options_.count > 0 ? std::min<uint64_t>(chunk_, left()) : chunk_;
        for (const uint32_t partition : options_.partitions) {
            wait_for_rate();
            wait_for_room();
            send_chunk(partition, n);
            rd_kafka_poll(client_, 0);
        }
        remind_of_brokers();
        next_ += n;
    }

    void send_chunk(uint32_t partition, size_t n) {
        const size_t bytes = options_.record_bytes;
        for (size_t i = 0; i < n; i++) {
            char* at = buffer_.data() + i * bytes;
            const uint64_t sequence = next_ + i;
            std::memcpy(at + fetcher::testing::kPaddingBegin, padding_.data() + sequence * 61 % kPaddingOffsets,
                        bytes - fetcher::testing::kPaddingBegin);
            fetcher::testing::encode_record(at, bytes, {run_, partition, sequence, realtime_ns()});
            messages_[i] = {};
            messages_[i].payload = at;
            messages_[i].len = bytes;
        }
        const int queued = rd_kafka_produce_batch(topic_, static_cast<int32_t>(partition), RD_KAFKA_MSG_F_COPY, messages_.data(),
                                                  static_cast<int>(n));
        if (queued != static_cast<int>(n)) {
            for (size_t i = 0; i < n; i++) {
                if (messages_[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) die(rd_kafka_err2str(messages_[i].err));
            }
        }
        sent_ += n;
    }

    const Options& options_;
    uint32_t run_;
    rd_kafka_t* client_;       // neither is given back: the process ends with them
    rd_kafka_topic_t* topic_;
    uint64_t next_;  // sequence number, of every partition
    std::string padding_;
    std::string buffer_;
    std::vector<rd_kafka_message_t> messages_;
    size_t chunk_ = 1;
    size_t max_queued_ = 0;
    uint64_t sent_ = 0;
    Clock::time_point begin_;
    uint64_t delivered_ = 0;
    Clock::time_point last_progress_ = Clock::now();
    double seconds_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"Fills a topic with numbered, checksummed records."};
    app.add_option("--bootstrap-servers", options.servers, "host:port")->envname("KAFKA_BOOTSTRAP_SERVERS");
    app.add_option("--topic", options.topic)->required();
    app.add_option("--run", options.run, "8 hexadecimal digits that every record carries");
    app.add_option("--partitions", options.partition_count, "sends to 0..N-1 in turn")->check(CLI::Range(1, 10'000));
    app.add_option("--partition", options.partitions, "sends to these instead; may repeat");
    app.add_option("--count", options.count, "records for each partition; 0: until the time is over");
    app.add_option("--first-sequence", options.first_sequence, "of every partition: to go on where an earlier call ended");
    app.add_option("--size", options.record_bytes, "bytes of each value")
        ->check(CLI::Range(fetcher::testing::kMinRecordBytes, size_t{64} << 20));
    app.add_option("--rate", options.records_per_second, "records a second; 0: as fast as it goes");
    app.add_option("--seconds", options.max_seconds, "ends after this time at the latest")->check(CLI::Range(0.1, 7200.0));
    app.add_option("--property", options.properties, "librdkafka property as name=value; may repeat");
    CLI11_PARSE(app, argc, argv);
    if (options.partitions.empty()) {
        for (uint32_t p = 0; p < options.partition_count; p++) options.partitions.push_back(p);
    }
    std::signal(SIGTERM, [](int) { stopping = 1; });
    std::signal(SIGINT, [](int) { stopping = 1; });
    Producer producer(options);
    producer.run();
    const int code = producer.report();
    std::_Exit(code);
}
