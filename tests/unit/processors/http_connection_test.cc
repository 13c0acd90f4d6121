// The one place with the HTTP library, against a server of a few system calls.
#include "processors/http_connection.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string_view>
#include <thread>

namespace fetcher {
namespace {

// Returns the port.
uint16_t listen_on_loopback(int listener) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener, 1), 0);
    EXPECT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
    return ntohs(address.sin_port);
}

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
