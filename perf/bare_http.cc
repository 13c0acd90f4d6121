// The limit for figures of streaming_forwarder: the same HTTP client library sending bodies that were made before, over so many kept
// connections, with no Kafka, no acknowledgement and no order.
#include <httplib.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
    int port = 0, connections = 1;
    size_t records = 1, size = 200, requests = 1000;
    CLI::App app{"Sends prepared bodies as fast as cpp-httplib goes."};
    app.add_option("--port", port, "of the server on 127.0.0.1")->required();
    app.add_option("--connections", connections);
    app.add_option("--records", records, "values in a body; several are lines");
    app.add_option("--size", size, "bytes of a value");
    app.add_option("--requests", requests, "over all connections");
    CLI11_PARSE(app, argc, argv);

    std::string body;
    for (size_t i = 0; i < records; i++) {
        body.append(size, 'x');
        if (records > 1) body += '\n';
    }
    std::atomic<size_t> begun{0};
    std::atomic<bool> failed{false};
    const auto send_all = [&] {
        httplib::Client client("127.0.0.1", port);
        client.set_keep_alive(true);
        client.set_tcp_nodelay(true);
        const httplib::Headers headers = {{"Idempotency-Key", "00000000-0000-0000-0000-000000000000/perf/0/0-999"}};
        while (begun++ < requests) {
            const auto answer = client.Post("/records", headers, body.size(), [&](size_t at, size_t n, httplib::DataSink& sink) { return sink.write(body.data() + at, n); },
                                            records > 1 ? "application/x-ndjson" : "application/json");
            if (!answer || answer->status != 200) failed = true;
        }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < connections; i++) threads.emplace_back(send_all);
    for (auto& thread : threads) thread.join();
    rusage use{};
    getrusage(RUSAGE_SELF, &use);
    const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
    std::printf("{\"cpu\": %.2f}\n", seconds(use.ru_utime) + seconds(use.ru_stime));
    return failed ? 1 : 0;
}
