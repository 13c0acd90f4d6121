#include "admin/demo.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "admin/setting_values.h"

namespace fetcher {

namespace {

constexpr const char* kTopic = "payments";
constexpr uint32_t kRecordsPerSecond = 2'000;
constexpr int kSecondsBetweenLines = 5;  // where the output is no terminal

int64_t lag_of(const ConsumerView& view) {
    int64_t lag = 0;
    if (view.seen.pipeline)
        for (const auto& partition : view.seen.pipeline->partitions) lag += partition.lag > 0 ? partition.lag : 0;
    return lag;
}

}  // namespace

Demo::Demo(ConsumerService& service, std::string url, const std::string& folder)
    : service_(service), url_(std::move(url)), file_(folder + "/payments.log"), broker_(kTopic), terminal_(isatty(STDOUT_FILENO) == 1) {}

Answer<void> Demo::begin(bool with_token) {
    const auto& servers = broker_.bootstrap_servers();
    const auto colon = servers.rfind(':');
    const nlohmann::json body = {{"broker_ip", servers.substr(0, colon)},
                                 {"broker_port", *parse_port(servers.substr(colon + 1))},
                                 {"topic", kTopic},
                                 {"consumer_group", "demo"},
                                 {"auto_start", true},
                                 {"processor_configs", {{{"processor_type", "file_sink"}, {"config", {{"file_path", file_}}}}}}};
    const auto created = service_.create(body);
    if (!created) return tl::unexpected<Problem>(created.error());
    consumer_id_ = created->stored.consumer_id;
    broker_.generate(kRecordsPerSecond);
    const std::string header = with_token ? " -H \"Authorization: Bearer $API_TOKEN\"" : "";
    fmt::print(
        "\nThe demo moves {} generated payments a second from the topic {} into a file. Ctrl-C ends it.\n\n"
        "  the file    tail -f {}\n"
        "  the API     curl{} {}/api/consumers\n"
        "  consumer    curl{} {}/api/consumers/{}\n"
        "  stop it     curl{} -X POST {}/api/consumers/{}/stop\n"
        "  lag         curl{} '{}/monitor/consumer-group-lag?group_id=demo&topic={}&bootstrap_servers={}'\n\n",
        kRecordsPerSecond, kTopic, file_, header, url_, header, url_, consumer_id_, header, url_, consumer_id_, header, url_, kTopic,
        servers);
    std::fflush(stdout);
    return {};
}

void Demo::show() {
    if (!terminal_ && seconds_++ % kSecondsBetweenLines != 0) return;
    const auto view = service_.get(consumer_id_);
    const std::string line = view ? fmt::format("{}  {:.0f} records/s  lag {}  {} records in the file, {} produced", view->health.status,
                                                view->seen.records_per_second, lag_of(*view), view->seen.totals.records, broker_.produced())
                                  : "The demo's consumer has been deleted.";
    if (terminal_) fmt::print("\r\033[K{}", line);
    else fmt::print("{}\n", line);
    std::fflush(stdout);
}

void Demo::end() {
    if (terminal_) fmt::print("\n");
    std::fflush(stdout);
}

}  // namespace fetcher
