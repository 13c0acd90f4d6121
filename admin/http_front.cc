#include "admin/http_front.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "engine/result.h"

namespace fetcher {

using std::chrono::steady_clock;

namespace {

constexpr uint64_t kBell = 0;
constexpr size_t kReceiveBytes = size_t{64} << 10;

std::string address_of(int fd) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return {};
    const void* address = peer.ss_family == AF_INET ? static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(&peer)->sin_addr)
                                                    : &reinterpret_cast<sockaddr_in6*>(&peer)->sin6_addr;
    return inet_ntop(peer.ss_family, address, text.data(), text.size()) ? text.data() : "";
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

HttpFront::HttpFront(HttpFrontOptions options, Callbacks callbacks) : options_(options), callbacks_(std::move(callbacks)) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    bell_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    FETCHER_INVARIANT(epoll_ >= 0 && bell_ >= 0, "no descriptors for the HTTP server");
    epoll_event event{EPOLLIN, {}};
    event.data.u64 = kBell;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, bell_, &event);
    workers_ = std::make_unique<WorkerPool>(options_.threads);
    health_workers_ = std::make_unique<WorkerPool>(options_.health_threads);
    thread_ = std::thread([this] { run(); });
}

HttpFront::~HttpFront() {
    stop(std::chrono::milliseconds{0});
    workers_.reset();
    health_workers_.reset();
    ::close(bell_);
    ::close(epoll_);
}

void HttpFront::ring() {
    const uint64_t one = 1;
    [[maybe_unused]] const auto rung = ::write(bell_, &one, sizeof one);
}

void HttpFront::adopt(int fd) {
    {
        std::lock_guard lock(mutex_);
        if (stopping_) {
            ::close(fd);
            return;
        }
        adopted_.push_back(fd);
    }
    ring();
}

void HttpFront::stop(std::chrono::milliseconds grace) {
    if (!thread_.joinable()) return;
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
        stop_at_ = steady_clock::now() + grace;
    }
    ring();
    thread_.join();
}

void HttpFront::run() {
    std::array<epoll_event, 64> events{};
    for (;;) {
        const auto next = expire(steady_clock::now());
        {
            std::lock_guard lock(mutex_);
            if (stopping_ && (connections_.empty() || steady_clock::now() >= stop_at_)) break;
        }
        const auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - steady_clock::now()).count();
        const int count = epoll_wait(epoll_, events.data(), events.size(), static_cast<int>(std::clamp<int64_t>(wait, 0, 1'000)));
        for (int i = 0; i < count; ++i) {
            const auto& event = events[static_cast<size_t>(i)];
            if (event.data.u64 == kBell) take_messages();
            else if (const auto found = connections_.find(event.data.u64); found != connections_.end())
                on_event(found->second, event.events);
        }
    }
    std::lock_guard lock(mutex_);
    for (const auto& [id, connection] : connections_) ::close(connection.fd);
    for (const int fd : adopted_) ::close(fd);
    connections_.clear();
    adopted_.clear();
}

void HttpFront::take_messages() {
    uint64_t rings = 0;
    [[maybe_unused]] const auto read = ::read(bell_, &rings, sizeof rings);
    std::vector<int> adopted;
    std::vector<std::pair<uint64_t, HttpReply>> replies;
    {
        std::lock_guard lock(mutex_);
        adopted.swap(adopted_);
        replies.swap(replies_);
    }
    for (auto& [id, reply] : replies)
        if (const auto found = connections_.find(id); found != connections_.end()) answer(found->second, std::move(reply));
    for (const int fd : adopted) take_over(fd);
}

void HttpFront::take_over(int fd) {
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    const auto address = address_of(fd);
    make_room(address);
    const auto of_address =
        std::count_if(connections_.begin(), connections_.end(), [&](const auto& entry) { return entry.second.address == address; });
    if (connections_.size() >= options_.max_connections || static_cast<size_t>(of_address) >= options_.max_connections_per_address) {
        ::close(fd);  // all others are being served
        return;
    }
    auto& connection = connections_[next_id_];
    connection.id = next_id_++;
    connection.fd = fd;
    connection.address = address;
    connection.waiting_since = steady_clock::now();
    connection.deadline = connection.waiting_since + options_.request_deadline;
    epoll_event event{EPOLLIN, {}};
    event.data.u64 = connection.id;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) close(connection.id);
}

// Closes whoever has kept us waiting longest: of the address if that is full, else of all if the house is full.
void HttpFront::make_room(const std::string& address) {
    size_t of_address = 0;
    const Connection *oldest = nullptr, *oldest_of_address = nullptr;
    const auto older = [](const Connection* a, const Connection& b) { return !a || b.waiting_since < a->waiting_since; };
    for (const auto& [id, connection] : connections_) {
        const bool same = connection.address == address;
        of_address += same ? 1 : 0;
        if (connection.state != State::reading && connection.state != State::lingering) continue;
        if (older(oldest, connection)) oldest = &connection;
        if (same && older(oldest_of_address, connection)) oldest_of_address = &connection;
    }
    if (of_address >= options_.max_connections_per_address && oldest_of_address) close(oldest_of_address->id);
    else if (connections_.size() >= options_.max_connections && oldest) close(oldest->id);
}

void HttpFront::on_event(Connection& connection, uint32_t events) {
    if (connection.state == State::sending) {
        if (events & (EPOLLERR | EPOLLHUP)) close(connection.id);
        else send_some(connection);
        return;
    }
    if (!receive(connection)) return;
    if (connection.state == State::reading) advance(connection);
}

bool HttpFront::receive(Connection& connection) {
    std::array<char, kReceiveBytes> buffer;
    const auto size = ::recv(connection.fd, buffer.data(), buffer.size(), 0);
    if (size < 0 && would_block()) return false;
    if (size <= 0) {
        close(connection.id);
        return false;
    }
    if (connection.state == State::lingering) return true;  // thrown away
    if (connection.received.empty()) connection.deadline = steady_clock::now() + options_.request_deadline;
    connection.received.append(buffer.data(), static_cast<size_t>(size));
    const auto id = connection.id;
    limit_buffers();
    return connections_.contains(id);
}

// The head is judged again when a line of it has ended, or when so much has come that a line may be too long: a few dozen times, however
// small the pieces it comes in.
bool HttpFront::worth_judging(const Connection& connection) const {
    const auto news = std::string_view(connection.received).substr(connection.judged_bytes);
    return news.find('\n') != std::string_view::npos || news.size() > kMaxLineBytes;
}

// Called with the whole of what has been received; serves the next request if it is there.
void HttpFront::advance(Connection& connection) {
    if (!connection.frame) {
        if (!worth_judging(connection)) return;
        const auto frame = parse_frame(connection.received);
        if (!frame) return refuse(connection, frame.error());
        connection.judged_bytes = connection.received.size();
        connection.frame = *frame;
        if (!connection.frame) return;
    }
    const auto& request = *connection.frame;
    if (request.needs_length && !request.has_length && connection.received.size() > request.head_bytes)
        return refuse(connection, {411, "A body needs a Content-Length.", {}, {}});
    if (connection.received.size() >= request.total_bytes()) return dispatch(connection);
    if (request.expects_continue && !std::exchange(connection.sent_continue, true)) {
        constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        [[maybe_unused]] const auto sent = ::send(connection.fd, kContinue.data(), kContinue.size(), MSG_NOSIGNAL);
    }
}

void HttpFront::dispatch(Connection& connection) {
    const RequestFrame frame = std::move(*connection.frame);
    connection.frame.reset();
    connection.judged_bytes = 0;
    auto head = connection.received.substr(0, frame.head_bytes);
    auto body = connection.received.substr(frame.head_bytes, frame.body_bytes);
    connection.received.erase(0, frame.total_bytes());
    connection.received.shrink_to_fit();
    connection.sent_continue = false;
    connection.state = State::serving;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, connection.fd, nullptr);  // what comes meanwhile waits in the kernel
    auto& pool = callbacks_.is_health(frame.path) ? *health_workers_ : *workers_;
    pool.put([this, id = connection.id, head = std::move(head), body = std::move(body)]() mutable {
        auto reply = callbacks_.serve(std::move(head), std::move(body));
        {
            std::lock_guard lock(mutex_);
            replies_.emplace_back(id, std::move(reply));
        }
        ring();
    });
}

void HttpFront::refuse(Connection& connection, const Problem& problem) {
    epoll_ctl(epoll_, EPOLL_CTL_DEL, connection.fd, nullptr);
    connection.received.clear();
    connection.judged_bytes = 0;
    connection.frame.reset();
    answer(connection, callbacks_.refuse(problem));
}

void HttpFront::answer(Connection& connection, HttpReply reply) {
    connection.reply = std::move(reply);
    connection.sent = 0;
    connection.state = State::sending;
    connection.deadline = steady_clock::now() + options_.send_deadline;
    epoll_event event{EPOLLOUT, {}};
    event.data.u64 = connection.id;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    send_some(connection);
}

void HttpFront::send_some(Connection& connection) {
    const auto& bytes = connection.reply.bytes;
    while (connection.sent < bytes.size()) {
        const auto sent = ::send(connection.fd, bytes.data() + connection.sent, bytes.size() - connection.sent, MSG_NOSIGNAL);
        if (sent < 0 && would_block()) return;
        if (sent < 0) return close(connection.id);
        connection.sent += static_cast<size_t>(sent);
    }
    finish_reply(connection);
}

void HttpFront::finish_reply(Connection& connection) {
    const auto now = steady_clock::now();
    connection.waiting_since = now;
    const bool keep = connection.reply.keep_alive;
    connection.reply = {};
    watch(connection, EPOLLIN);
    if (keep) {
        connection.state = State::reading;
        connection.deadline = now + (connection.received.empty() ? options_.idle_deadline : options_.request_deadline);
        advance(connection);
        return;
    }
    connection.state = State::lingering;
    connection.received.clear();
    connection.deadline = now + options_.linger;
    ::shutdown(connection.fd, SHUT_WR);
}

void HttpFront::watch(Connection& connection, uint32_t events) {
    epoll_event event{events, {}};
    event.data.u64 = connection.id;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
}

void HttpFront::close(uint64_t id) {
    const auto found = connections_.find(id);
    ::close(found->second.fd);
    connections_.erase(found);
}

// Many half-sent bodies together must not grow without bound: the largest goes.
void HttpFront::limit_buffers() {
    size_t bytes = 0;
    const Connection* largest = nullptr;
    for (const auto& [id, connection] : connections_) {
        bytes += connection.received.size();
        if (connection.state == State::reading && (!largest || connection.received.size() > largest->received.size()))
            largest = &connection;
    }
    if (bytes > options_.max_buffered_bytes && largest) close(largest->id);
}

HttpFront::Time HttpFront::expire(Time now) {
    bool stopping = false;
    {
        std::lock_guard lock(mutex_);
        stopping = stopping_;
    }
    auto next = now + std::chrono::seconds(1);
    std::vector<uint64_t> over;
    for (const auto& [id, connection] : connections_) {
        if (connection.state == State::serving) continue;
        const bool idle = connection.state == State::reading && stopping;
        if (idle || now >= connection.deadline) over.push_back(id);
        else next = std::min(next, connection.deadline);
    }
    for (const auto id : over) close(id);
    return stopping ? std::min(next, now + std::chrono::milliseconds(20)) : next;
}

}  // namespace fetcher
