// The only place where everything meets.
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdio>
#include <optional>
#include <thread>

#include "admin/consumer_config.h"
#include "admin/consumer_service.h"
#include "admin/data_dir.h"
#include "admin/demo.h"
#include "admin/http_server.h"
#include "engine/iso_time.h"
#include "admin/pipeline_factory.h"
#include "admin/postgres_heartbeats.h"
#include "admin/postgres_store.h"
#include "admin/reconciler.h"
#include "admin/router.h"
#include "admin/routes.h"
#include "admin/settings.h"
#include "admin/sqlite_store.h"
#include "engine/memory_budget.h"
#include "processors/registry.h"

namespace {

using namespace fetcher;
using std::chrono::milliseconds;

// Together less than the 10 s within which a supervisor expects a process to leave. A pipeline drains for up to 8 s.
constexpr milliseconds kDrainTimeout{9'000};
constexpr milliseconds kAnswerGrace{500};

sigset_t ending_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    return signals;
}

void start_log(const Settings& settings) {
    spdlog::set_default_logger(spdlog::stderr_color_mt("kafka-fetcher"));
    spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
    spdlog::set_level(spdlog::level::from_str(settings.log_level));
}

int refuse_start(const std::string& why) {
    std::fprintf(stderr, "kafka-fetcher: %s.\n", why.c_str());
    return 1;
}

int refuse_start(const Problem& problem) {
    if (problem.errors.empty()) return refuse_start(problem.detail);
    const auto& first = problem.errors.front();
    return refuse_start(problem.detail + " " + first.pointer + ": " + first.detail);
}

// Where a client on this machine finds the API.
std::string local_url(const Settings& settings) {
    const bool any = settings.host == "0.0.0.0" || settings.host == "::";
    const auto host = any ? "127.0.0.1" : settings.host;
    return "http://" + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(settings.port);
}

// Returns when the process is to end. With a demo, shows once a second how it goes.
void wait_for_signal(Demo* demo) {
    const auto signals = ending_signals();
    const timespec second{1, 0};
    while (sigtimedwait(&signals, nullptr, &second) < 0)
        if (demo) demo->show();
    if (demo) demo->end();
}

// Whoever asks twice does not want to wait.
void leave_at_next_signal() {
    std::thread([] {
        const auto signals = ending_signals();
        int signal = 0;
        sigwait(&signals, &signal);
        ::_exit(128 + signal);
    }).detach();
}

Result<std::unique_ptr<DataDir>> open_data_dir(const Settings& settings) {
    auto folder = DataDir::open(settings.data_dir);
    if (!folder || !settings.demo) return folder;
    if (const auto cleared = (*folder)->clear(); !cleared) return tl::unexpected<Error>(cleared.error());
    return folder;
}

Result<std::unique_ptr<ConfigStore>> open_store(const Settings& settings, const DataDir& folder) {
    if (settings.database_url) return PostgresStore::open(*settings.database_url);
    return SqliteStore::open(folder.file("db"));
}

std::unique_ptr<HeartbeatStore> open_heartbeats(const Settings& settings) {
    return settings.database_url ? std::make_unique<PostgresHeartbeats>(*settings.database_url) : nullptr;
}

std::string host_name() {
    std::array<char, HOST_NAME_MAX + 1> name{};
    return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

int run(const Settings& settings) {
    const auto folder = open_data_dir(settings);
    if (!folder) return refuse_start(folder.error().reason);
    const auto instance_id = settings.instance_id.empty() ? (*folder)->instance_id() : settings.instance_id;
    if (!instance_id) return refuse_start(instance_id.error().reason);
    const auto store = open_store(settings, **folder);
    if (!store) return refuse_start(store.error().reason);

    MemoryBudget budget(settings.memory_budget_bytes);
    const ProcessorRegistry registry;
    const ProcessorEnvironment environment{*instance_id, settings.file_sink_roots, settings.secrets_dir, settings.certificates_dir,
                                           (*folder)->path(), settings.forward_allow, settings.pin_threads};
    const ConsumerConfig config(registry, environment);
    Reconciler reconciler(**store, make_pipeline_factory(registry, environment, budget), {}, [&](const auto& consumers) {
        for (const auto& type : registry.types()) type->forget_all_but(consumers, environment);
    });
    ReplicaBoard replicas({*instance_id, host_name(), FETCHER_VERSION, iso_now()}, open_heartbeats(settings),
                          [&] { return reconciler.reports(); });
    ConsumerService service(**store, reconciler, config, replicas);

    Router router;
    add_health_routes(router, service);
    add_consumer_routes(router, service);
    DeadLetterService letters(**store, registry, environment);
    add_dead_letter_routes(router, letters);
    add_version_routes(router, service);
    add_instance_routes(router, reconciler, replicas);
    add_processor_type_routes(router, registry);
    MonitorOptions monitor;
    monitor.default_servers = settings.kafka_bootstrap_servers;
    monitor.allowed_servers = settings.monitor_bootstrap_servers;
    add_monitor_routes(router, service, monitor);

    HttpServer server({settings.host, settings.port, {settings.api_token, settings.host, settings.allowed_hosts}, {}}, router);
    if (const auto listening = server.listen(); !listening) return refuse_start(listening.error().reason);
    reconciler.start();
    replicas.start();
    spdlog::info("kafka-fetcher " FETCHER_VERSION " listens on {}:{}, data in {}, instance {}", settings.host, settings.port,
                 (*folder)->path(), *instance_id);
    if (settings.database_url) spdlog::info("the configuration is in PostgreSQL, {}", settings.database_url->without_password());

    std::optional<Demo> demo;
    if (settings.demo) {
        demo.emplace(service, local_url(settings), (*folder)->path());
        if (const auto begun = demo->begin(!settings.api_token.empty()); !begun) return refuse_start(begun.error());
    }
    wait_for_signal(demo ? &*demo : nullptr);

    spdlog::info("stopping");
    leave_at_next_signal();
    server.stop_accepting();
    const bool drained = reconciler.stop(kDrainTimeout);
    if (!drained) {
        // Nothing is lost: what is not committed is read again. But neither its threads nor those that answer can be waited for.
        spdlog::warn("stopped without having drained everything");
        ::_exit(0);
    }
    replicas.stop();
    server.stop(kAnswerGrace);
    if (letters.held_up()) {
        spdlog::warn("stopped while the replay of a dead letter hangs in its sink");
        ::_exit(0);
    }
    spdlog::info("stopped");
    return 0;
}

// Each consumer needs about ten, each connection one: the soft limit of 1024 is for programs that use select().
void allow_all_descriptors() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
    forget_postgres_environment();
    const auto settings = load_settings(argc, argv);
    if (!settings) {
        std::fputs(settings.error().text.c_str(), settings.error().code == 0 ? stdout : stderr);
        return settings.error().code;
    }
    // Before any thread exists, so that all inherit it: signals wait for wait_for_signal alone.
    const auto signals = ending_signals();
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
    start_log(*settings);
    allow_all_descriptors();
    return run(*settings);
}
