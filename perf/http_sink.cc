// The server that HTTP figures are measured against: takes every request, reads its body, answers 200, and counts. A thread for each connection
// and no work besides, so that the client is what is measured. GET /stats tells how many requests, bytes and lines came, and when.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

std::atomic<uint64_t> requests{0}, bytes{0}, lines{0};
std::atomic<int64_t> first_ns{0}, last_ns{0};

[[noreturn]] void die(const char* what) {
    std::fprintf(stderr, "http_sink: %s: %s\n", what, std::strerror(errno));
    std::exit(2);
}

int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

std::string stats() {
    char text[256];
    std::snprintf(text, sizeof text, "{\"requests\": %llu, \"bytes\": %llu, \"lines\": %llu, \"seconds\": %.6f}", static_cast<unsigned long long>(requests),
                  static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(lines), static_cast<double>(last_ns - first_ns) / 1e9);
    return text;
}

bool send_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        if (n <= 0) return false;
        text.remove_prefix(static_cast<size_t>(n));
    }
    return true;
}

// One connection's reader: hands out heads and bodies.
class Reader {
  public:
    explicit Reader(int fd) : fd_(fd), buffer_(1 << 18) {}

    // The head up to and with its empty line; empty: the end.
    std::string_view head() {
        for (;;) {
            const std::string_view text(buffer_.data() + begin_, end_ - begin_);
            if (const size_t at = text.find("\r\n\r\n"); at != std::string_view::npos) {
                begin_ += at + 4;
                return text.substr(0, at + 4);
            }
            if (!more()) return {};
        }
    }
    bool body(size_t size, uint64_t& newlines) {
        while (size > 0) {
            if (begin_ == end_ && !more()) return false;
            const size_t n = std::min(size, end_ - begin_);
            newlines += static_cast<uint64_t>(std::count(buffer_.data() + begin_, buffer_.data() + begin_ + n, '\n'));
            begin_ += n;
            size -= n;
        }
        return true;
    }

  private:
    bool more() {
        if (begin_ == end_) begin_ = end_ = 0;
        if (end_ == buffer_.size()) {
            if (begin_ == 0) return false;
            std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
            end_ -= begin_;
            begin_ = 0;
        }
        const ssize_t n = recv(fd_, buffer_.data() + end_, buffer_.size() - end_, 0);
        if (n > 0) end_ += static_cast<size_t>(n);
        return n > 0;
    }
    int fd_;
    std::vector<char> buffer_;
    size_t begin_ = 0, end_ = 0;
};

size_t content_length(std::string_view head) {
    constexpr std::string_view kName = "\r\ncontent-length:";
    const auto at = std::search(head.begin(), head.end(), kName.begin(), kName.end(),
                                [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
    if (at == head.end()) return 0;
    auto value = head.substr(static_cast<size_t>(at - head.begin()) + kName.size());
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    size_t length = 0;
    std::from_chars(value.data(), value.data() + value.size(), length);
    return length;
}

void serve(int fd) {
    Reader reader(fd);
    for (auto head = reader.head(); !head.empty(); head = reader.head()) {
        if (head.starts_with("GET /stats")) {
            const auto text = stats();
            send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text);
            continue;
        }
        const size_t size = content_length(head);
        uint64_t newlines = 0;
        int64_t none = 0;
        first_ns.compare_exchange_strong(none, now_ns());
        if (!reader.body(size, newlines)) break;
        last_ns = now_ns();
        requests++;
        bytes += size;
        lines += newlines;
        if (!send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) break;
    }
    close(fd);
}

}  // namespace

int main() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener, 128) != 0) die("cannot listen");
    socklen_t size = sizeof address;
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    std::printf("%d\n", ntohs(address.sin_port));
    std::fflush(stdout);
    for (;;) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) die("accept");
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        std::thread(serve, fd).detach();
    }
}
