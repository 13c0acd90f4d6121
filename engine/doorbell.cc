#include "engine/doorbell.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <system_error>

namespace fetcher {

Doorbell::Doorbell() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "no file descriptor for an eventfd");
}

Doorbell::~Doorbell() { close(fd_); }

void Doorbell::ring() {
    if (rung_.exchange(true)) return;
    const uint64_t one = 1;
    // EAGAIN means the counter is full, so the sleeper wakes anyway.
    [[maybe_unused]] const ssize_t n = write(fd_, &one, sizeof one);
}

void Doorbell::wait_until(std::chrono::steady_clock::time_point deadline) {
    const auto left = deadline - std::chrono::steady_clock::now();
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
    const timespec timeout{ns > 0 ? ns / 1'000'000'000 : 0, ns > 0 ? ns % 1'000'000'000 : 0};
    pollfd wait{fd_, POLLIN, 0};
    ppoll(&wait, 1, &timeout, nullptr);
    uint64_t rings;
    [[maybe_unused]] const ssize_t n = read(fd_, &rings, sizeof rings);
    // Cleared before the queues are looked at and after the descriptor is emptied: a ring from here on writes again.
    rung_.exchange(false);
}

}  // namespace fetcher
