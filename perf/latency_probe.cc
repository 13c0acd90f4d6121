// How long records are under way: from record_producer's clock reading to being visible in the sink's file, and, beside it and for the same
// records, to being received by a bare librdkafka consumer. Both ends read one clock, for all of it runs on one machine.
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "tests/tools/record_format.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
    std::string servers = "127.0.0.1:9092";
    std::string topic;
    std::string file;
    std::string run;
    uint32_t partitions = 1;
    uint64_t count = 0;
    uint64_t warm_up = 0;
    double max_seconds = 120;
    std::vector<std::string> properties;
};

[[noreturn]] void die(const std::string& why) {
    std::fprintf(stderr, "latency_probe: %s\n", why.c_str());
    std::exit(2);
}

uint64_t realtime_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

class Latencies {
  public:
    Latencies(const Options& options, uint32_t run) : run_(run), warm_up_(options.warm_up) { ns_.reserve(options.count); }

    void add(std::string_view text, uint64_t now_ns) {
        const auto record = fetcher::testing::decode_record(text);
        if (!record || record->run != run_) return;
        if (seen_++ < warm_up_) return;
        ns_.push_back(now_ns - std::min(now_ns, record->produced_ns));
    }
    uint64_t seen() const { return seen_; }

    std::string json() {
        std::sort(ns_.begin(), ns_.end());
        std::string out = "{\"records\": " + std::to_string(ns_.size());
        for (const auto& [name, share] : {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1.0}}) {
            const double at = ns_.empty() ? 0 : share * static_cast<double>(ns_.size() - 1);
            char text[64];
            std::snprintf(text, sizeof text, ", \"%s\": %.3f", name, ns_.empty() ? 0 : static_cast<double>(ns_[static_cast<size_t>(at)]) / 1e6);
            out += text;
        }
        return out + "}";
    }

  private:
    uint32_t run_;
    uint64_t warm_up_;
    uint64_t seen_ = 0;
    std::vector<uint64_t> ns_;
};

// Reads what is appended from `offset` on; looks again every 100 µs, so it adds half of that on average.
void follow_file(const Options& options, off_t offset, Clock::time_point deadline, Latencies& latencies) {
    constexpr auto kPause = std::chrono::microseconds(100);
    const int fd = open(options.file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) die(options.file + ": " + std::strerror(errno));
    std::vector<char> buffer(1 << 20);
    size_t rest = 0;
    while (latencies.seen() < options.count && Clock::now() < deadline) {
        const ssize_t n = pread(fd, buffer.data() + rest, buffer.size() - rest, offset);
        if (n < 0) die(options.file + ": " + std::strerror(errno));
        if (n == 0) {
            std::this_thread::sleep_for(kPause);
            continue;
        }
        const uint64_t now = realtime_ns();
        offset += n;
        const std::string_view text(buffer.data(), rest + static_cast<size_t>(n));
        size_t at = 0;
        for (size_t newline; (newline = text.find('\n', at)) != std::string_view::npos; at = newline + 1) {
            latencies.add(text.substr(at, newline - at), now);
        }
        rest = text.size() - at;
        std::memmove(buffer.data(), buffer.data() + at, rest);
    }
    close(fd);
}

rd_kafka_t* make_consumer(const Options& options) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char error[256];
    const auto set = [&](const std::string& name, const std::string& value) {
        if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error) != RD_KAFKA_CONF_OK) die(error);
    };
    set("bootstrap.servers", options.servers);
    set("group.id", "latency-probe");
    set("enable.auto.commit", "false");
    for (const auto& property : options.properties) {
        const size_t equals = property.find('=');
        if (equals == std::string::npos) die("--property wants name=value: " + property);
        set(property.substr(0, equals), property.substr(equals + 1));
    }
    rd_kafka_t* client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
    if (client == nullptr) die(error);
    rd_kafka_poll_set_consumer(client);
    rd_kafka_topic_partition_list_t* all = rd_kafka_topic_partition_list_new(static_cast<int>(options.partitions));
    for (uint32_t p = 0; p < options.partitions; p++) {
        int64_t low = 0, high = 0;
        const auto result = rd_kafka_query_watermark_offsets(client, options.topic.c_str(), static_cast<int32_t>(p), &low, &high, 10'000);
        if (result != RD_KAFKA_RESP_ERR_NO_ERROR) die(rd_kafka_err2str(result));
        rd_kafka_topic_partition_list_add(all, options.topic.c_str(), static_cast<int32_t>(p))->offset = high;
    }
    rd_kafka_assign(client, all);
    return client;
}

void consume(rd_kafka_t* client, const Options& options, Clock::time_point deadline, Latencies& latencies) {
    while (latencies.seen() < options.count && Clock::now() < deadline) {
        rd_kafka_message_t* message = rd_kafka_consumer_poll(client, 100);
        if (message == nullptr) continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) latencies.add({static_cast<const char*>(message->payload), message->len}, realtime_ns());
        rd_kafka_message_destroy(message);
    }
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"Measures produce-to-visible times in a file and at a bare consumer at once."};
    app.add_option("--bootstrap-servers", options.servers, "host:port")->envname("KAFKA_BOOTSTRAP_SERVERS");
    app.add_option("--topic", options.topic)->required();
    app.add_option("--file", options.file, "the sink's file; looked at from its present end on")->required();
    app.add_option("--run", options.run, "the records' run")->required();
    app.add_option("--partitions", options.partitions);
    app.add_option("--count", options.count, "ends when both ends have seen so many records")->required();
    app.add_option("--warm-up", options.warm_up, "first records that are not counted");
    app.add_option("--seconds", options.max_seconds, "ends after this time at the latest");
    app.add_option("--property", options.properties, "librdkafka property of the bare consumer as name=value; may repeat");
    CLI11_PARSE(app, argc, argv);
    const auto run = static_cast<uint32_t>(std::stoul(options.run, nullptr, 16));
    const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.max_seconds));
    Latencies in_file(options, run), at_consumer(options, run);
    struct stat info {};
    if (stat(options.file.c_str(), &info) != 0) die(options.file + ": " + std::strerror(errno));
    rd_kafka_t* client = make_consumer(options);
    std::puts("ready");  // whoever started this may begin to produce
    std::fflush(stdout);
    std::thread follower([&] { follow_file(options, info.st_size, deadline, in_file); });
    consume(client, options, deadline, at_consumer);
    follower.join();
    std::printf("{\"file\": %s, \"bare_consumer\": %s}\n", in_file.json().c_str(), at_consumer.json().c_str());
    std::fflush(stdout);
    std::_Exit(in_file.seen() >= options.count && at_consumer.seen() >= options.count ? 0 : 1);
}
