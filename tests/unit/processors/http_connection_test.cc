// The one place with the HTTP library, against a server of a few system calls.
#include "processors/http_connection.h"

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

#include "loopback.h"

namespace fetcher {
namespace {

// Accepts one connection, reads a little of the request, answers, and closes.
class HastyServer {
  public:
    explicit HastyServer(std::string answer) : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
        port_ = listen_on_loopback(listener_);
        thread_ = std::thread([this, answer = std::move(answer)] {
            const int peer = ::accept(listener_, nullptr, nullptr);
            char some[1024];
            EXPECT_GT(::recv(peer, some, sizeof some, 0), 0);
            EXPECT_EQ(::send(peer, answer.data(), answer.size(), MSG_NOSIGNAL), static_cast<ssize_t>(answer.size()));
            ::close(peer);
        });
    }
    ~HastyServer() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }
    uint16_t port() const { return port_; }
    int listener() const { return listener_; }  // once it has answered

  private:
    const int listener_;
    uint16_t port_ = 0;
    std::thread thread_;
};

HttpAnswer send_large(const std::string& answer) {
    HastyServer server(answer);
    const auto connection = make_http_connection({.url = *parse_http_url(server.url())});
    const std::string body(32 << 20, 'x');
    return connection->send({"POST", {}, body});
}

TEST(HttpConnectionTest, AnAnswerThatComesBeforeAllOfTheBodyWasReadCounts) {
    const auto answer = send_large("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(answer.kind, HttpAnswer::Kind::answered) << answer.trouble;
    EXPECT_EQ(answer.status, 413);
}

TEST(HttpConnectionTest, WhatWasNotReadWasNotDelivered) {
    EXPECT_EQ(send_large("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").kind, HttpAnswer::Kind::broken);
    EXPECT_EQ(send_large("").kind, HttpAnswer::Kind::broken);
}

TEST(HttpConnectionTest, AnInterimAnswerIsNotTakenForTheLastOne) {
    HastyServer server("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    const auto connection = make_http_connection({.url = *parse_http_url(server.url())});
    const auto answer = connection->send({"POST", {}, "x"});
    EXPECT_EQ(answer.kind, HttpAnswer::Kind::broken);
    EXPECT_NE(answer.trouble.find("interim answer 103"), std::string::npos) << answer.trouble;
}

TEST(HttpConnectionTest, AnAbortCountsUntilItIsForgotten) {
    HastyServer server("HTTP/1.1 204 No Content\r\n\r\n");
    const auto connection = make_http_connection({.url = *parse_http_url(server.url())});
    connection->abort();
    EXPECT_EQ(connection->send({"POST", {}, "x"}).kind, HttpAnswer::Kind::aborted);
    connection->rearm();
    EXPECT_EQ(connection->send({"POST", {}, "x"}).status, 204);
}

// Sockets of this machine whose peer is at the port. `state`: as Linux numbers them.
size_t sockets_to(uint16_t port, int state) {
    std::ifstream table("/proc/net/tcp");
    std::string line, number, local, peer;
    size_t found = 0;
    for (std::getline(table, line); std::getline(table, line);) {
        std::istringstream words(line);
        int each = 0;
        words >> number >> local >> peer >> std::hex >> each;
        if (each == state && std::stoi(peer.substr(peer.find(':') + 1), nullptr, 16) == port) found++;
    }
    return found;
}

bool wait_for_socket(uint16_t port, int state) {
    for (int i = 0; i < 20'000 && sockets_to(port, state) == 0; i++) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return sockets_to(port, state) > 0;
}

// Who aborts has locks that others wait for. A kept connection may turn out to be gone, and then a new one is made.
TEST(HttpConnectionTest, AnAbortDoesNotWaitForAConnect) {
    HastyServer server("HTTP/1.1 204 No Content\r\n\r\n");
    const auto connection = make_http_connection({.url = *parse_http_url(server.url()), .connect_timeout = std::chrono::seconds(15)});
    ASSERT_EQ(connection->send({"POST", {}, "x"}).status, 204);
    ASSERT_TRUE(wait_for_socket(server.port(), TCP_CLOSE_WAIT));

    // Linux answers nobody while as many wait to be accepted as may.
    ASSERT_EQ(::listen(server.listener(), 0), 0);
    const int filler = connect_to_loopback(server.port());
    pollfd waiting{server.listener(), POLLIN, 0};
    ASSERT_EQ(::poll(&waiting, 1, 20'000), 1);

    HttpAnswer answer;
    std::thread sender([&] { answer = connection->send({"POST", {}, "x"}); });
    EXPECT_TRUE(wait_for_socket(server.port(), TCP_SYN_SENT));
    connection->abort();
    EXPECT_EQ(sockets_to(server.port(), TCP_SYN_SENT), 1U) << "it returned when the connect was over";
    const int accepted = ::accept(server.listener(), nullptr, nullptr);  // now there is room
    sender.join();
    EXPECT_EQ(answer.kind, HttpAnswer::Kind::aborted);
    ::close(accepted);
    ::close(filler);
}

// Answers every request, on one connection after the other.
class PatientServer {
  public:
    PatientServer() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
        url = "http://127.0.0.1:" + std::to_string(listen_on_loopback(listener_)) + "/";
        thread_ = std::thread([this] {
            for (int peer; (peer = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(peer)) {
                connections++;
                const std::string_view answer = "HTTP/1.1 204 No Content\r\n\r\n";
                for (char some[1024]; ::recv(peer, some, sizeof some, 0) > 0;)
                    EXPECT_EQ(::send(peer, answer.data(), answer.size(), MSG_NOSIGNAL), static_cast<ssize_t>(answer.size()));
            }
        });
    }
    ~PatientServer() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }
    std::string url;
    std::atomic<int> connections{0};

  private:
    const int listener_;
    std::thread thread_;
};

TEST(HttpConnectionTest, AConnectionIsKeptUnlessItWasIdleForTooLong) {
    PatientServer server;
    const auto connections_of_three_requests = [&](std::chrono::milliseconds longest_idle) {
        const int before = server.connections;
        const auto connection = make_http_connection({.url = *parse_http_url(server.url), .longest_idle = longest_idle});
        for (int i = 0; i < 3; i++) EXPECT_EQ(connection->send({"POST", {}, "x"}).status, 204);
        return server.connections - before;
    };
    EXPECT_EQ(connections_of_three_requests(std::chrono::hours(1)), 1);
    EXPECT_EQ(connections_of_three_requests(std::chrono::milliseconds(0)), 3) << "each had been idle for too long";
}

}  // namespace
}  // namespace fetcher
