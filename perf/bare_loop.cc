// The limit that figures are compared with: one thread that drains a topic with librdkafka and appends to a file, or only counts.
// No checkpoint, no fsync, no API: what any program on librdkafka can at best do.
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
    std::string servers = "127.0.0.1:9092";
    std::string topic;
    std::string group = "bare-loop-" + std::to_string(getpid());
    std::string file;
    uint64_t count = 0;
    bool commit = false;
    std::vector<std::string> properties;
};

[[noreturn]] void die(const std::string& why) {
    std::fprintf(stderr, "bare_loop: %s\n", why.c_str());
    std::exit(2);
}

void set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
    char error[256];
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error) != RD_KAFKA_CONF_OK) die(error);
}

rd_kafka_t* subscribe(const Options& options) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", options.servers);
    set(conf, "group.id", options.group);
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "enable.auto.commit", "false");
    for (const auto& property : options.properties) {
        const size_t equals = property.find('=');
        if (equals == std::string::npos) die("--property wants name=value: " + property);
        set(conf, property.substr(0, equals), property.substr(equals + 1));
    }
    char error[256];
    rd_kafka_t* client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
    if (client == nullptr) die(error);
    rd_kafka_poll_set_consumer(client);
    rd_kafka_topic_partition_list_t* topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, options.topic.c_str(), RD_KAFKA_PARTITION_UA);
    if (const auto result = rd_kafka_subscribe(client, topics); result != RD_KAFKA_RESP_ERR_NO_ERROR) die(rd_kafka_err2str(result));
    return client;
}

class Output {
  public:
    explicit Output(const std::string& file) : fd_(file.empty() ? -1 : open(file.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644)) {
        if (!file.empty() && fd_ < 0) die(file + ": " + std::strerror(errno));
        buffer_.reserve(2 * kBufferBytes);
    }
    void add(const rd_kafka_message_t& message) {
        if (fd_ < 0) return;
        buffer_.append(static_cast<const char*>(message.payload), message.len).push_back('\n');
        if (buffer_.size() > kBufferBytes) flush();
    }
    void flush() {
        for (size_t done = 0; done < buffer_.size();) {
            const ssize_t n = write(fd_, buffer_.data() + done, buffer_.size() - done);
            if (n < 0) die(std::strerror(errno));
            done += static_cast<size_t>(n);
        }
        buffer_.clear();
    }

  private:
    static constexpr size_t kBufferBytes = 1 << 20;
    int fd_;
    std::string buffer_;
};

void report(uint64_t records, double seconds) {
    rusage use{};
    getrusage(RUSAGE_SELF, &use);
    const auto in_seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
    std::printf("{\"records\": %llu, \"seconds\": %.3f, \"rate\": %.0f, \"cpu\": %.2f, \"rss_mb\": %ld}\n",
                static_cast<unsigned long long>(records), seconds, static_cast<double>(records) / seconds,
                in_seconds(use.ru_utime) + in_seconds(use.ru_stime), use.ru_maxrss / 1024);
    std::fflush(stdout);
}

void drain(rd_kafka_t* client, const Options& options) {
    constexpr size_t kMessages = 10'000;
    rd_kafka_queue_t* queue = rd_kafka_queue_get_consumer(client);
    std::vector<rd_kafka_message_t*> messages(kMessages);
    Output output(options.file);
    uint64_t records = 0;
    Clock::time_point begin;
    while (records < options.count) {
        const ssize_t n = rd_kafka_consume_batch_queue(queue, 100, messages.data(), messages.size());
        for (ssize_t i = 0; i < n; i++) {
            rd_kafka_message_t* message = messages[static_cast<size_t>(i)];
            if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                if (records++ == 0) begin = Clock::now();
                output.add(*message);
            }
            rd_kafka_message_destroy(message);
        }
    }
    output.flush();
    report(records, std::chrono::duration<double>(Clock::now() - begin).count());
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"Drains a topic as fast as librdkafka goes."};
    app.add_option("--bootstrap-servers", options.servers, "host:port")->envname("KAFKA_BOOTSTRAP_SERVERS");
    app.add_option("--topic", options.topic)->required();
    app.add_option("--count", options.count, "ends after this many records")->required();
    app.add_option("--file", options.file, "appends values and newlines here; only counts without it");
    app.add_option("--group", options.group, "consumer group; a new one unless told");
    app.add_flag("--commit", options.commit, "commits before it ends, so that the group is known");
    app.add_option("--property", options.properties, "librdkafka property as name=value; may repeat");
    CLI11_PARSE(app, argc, argv);
    rd_kafka_t* client = subscribe(options);
    drain(client, options);
    if (options.commit) {
        if (const auto result = rd_kafka_commit(client, nullptr, 0); result != RD_KAFKA_RESP_ERR_NO_ERROR) die(rd_kafka_err2str(result));
        rd_kafka_consumer_close(client);
    }
    std::_Exit(0);
}
