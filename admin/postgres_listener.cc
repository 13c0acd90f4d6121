#include "admin/postgres_listener.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "admin/postgres_migrations.h"

namespace fetcher {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds kDeadline{3'000};       // for connecting, and for an answer
constexpr milliseconds kPause{500};            // between attempts
constexpr milliseconds kCheckInterval{5'000};  // silence after which the connection is tried

}  // namespace

PostgresListener::PostgresListener(PostgresUrl url, std::function<void()> on_change)
    : url_(std::move(url)), on_change_(std::move(on_change)), wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), thread_([this] { run(); }) {}

PostgresListener::~PostgresListener() {
    eventfd_write(wake_fd_, 1);
    thread_.join();
    ::close(wake_fd_);
}

bool PostgresListener::stopping(milliseconds wait) {
    pollfd polled{wake_fd_, POLLIN, 0};
    return ::poll(&polled, 1, static_cast<int>(wait.count())) > 0;
}

void PostgresListener::run() {
    while (!stopping(milliseconds{0})) {
        const auto connection = PostgresConnection::connect(url_, kDeadline, steady_clock::now() + kDeadline);
        if (connection) listen_on(**connection);
        else spdlog::debug("store: not listening for changes: {}", connection.error().reason);
        if (stopping(kPause)) return;
    }
}

// Returns when the connection is of no more use, or at the end.
void PostgresListener::listen_on(PostgresConnection& connection) {
    if (!connection.run_script(std::string("LISTEN ") + kPostgresChannel, steady_clock::now() + kDeadline)) return;
    on_change_();
    while (!stopping(milliseconds{0})) {
        const auto heard = connection.wait_for_notification(wake_fd_, steady_clock::now() + kCheckInterval);
        if (!heard) return;
        if (*heard) on_change_();
        else if (!stopping(milliseconds{0}) && !connection.run_script("SELECT 1", steady_clock::now() + kDeadline)) return;
    }
}

}  // namespace fetcher
