#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>

#include "admin/http_server.h"

namespace fetcher {
namespace {

using std::chrono::milliseconds;

// A client that sends what it is told, byte for byte.
class RawClient {
  public:
    explicit RawClient(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval limit{10, 0};
        setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    ~RawClient() { close(fd_); }
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    void send(const std::string& text) const { ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
    // Until the server closes, or `until` has come.
    std::string receive(const std::string& until = "") const {
        std::string got;
        char buffer[4096];
        while (until.empty() || got.find(until) == std::string::npos) {
            const auto size = recv(fd_, buffer, sizeof buffer, 0);
            if (size <= 0) break;
            got.append(buffer, static_cast<size_t>(size));
        }
        return got;
    }

  private:
    const int fd_;
};

class HttpServerTest : public ::testing::Test {
  protected:
    HttpServerTest() {
        router_.add("GET", "/livez", [](const HttpRequest&) { return HttpResponse{200, "text/plain", "alive", {}}; }, Router::Access::open);
        router_.add("POST", "/echo", [](const HttpRequest& request) { return HttpResponse{200, "application/json", request.body, {}}; });
        router_.add("GET", "/throw", [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("secret words"); });
        router_.add("GET", "/wait", [this](const HttpRequest&) {
            std::unique_lock lock(mutex_);
            released_.wait(lock, [&] { return is_released_; });
            return empty_response(204);
        });
    }
    ~HttpServerTest() override { release(); }
    void release() {
        std::lock_guard lock(mutex_);
        is_released_ = true;
        released_.notify_all();
    }
    HttpServer& start(HttpFrontOptions front = {}) {
        server_ = std::make_unique<HttpServer>(HttpServerOptions{"127.0.0.1", 0, {"", "127.0.0.1", {}}, front}, router_);
        EXPECT_TRUE(server_->listen());
        return *server_;
    }
    std::string ask(const std::string& text) const {
        const RawClient client(server_->port());
        client.send(text);
        return client.receive();
    }
    bool is_alive() const {
        return ask("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").find("\r\n\r\nalive") != std::string::npos;
    }

    Router router_;
    std::mutex mutex_;
    std::condition_variable released_;
    bool is_released_ = false;
    std::unique_ptr<HttpServer> server_;
};

std::string echo(const std::string& body, const std::string& headers = "") {
    return "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n" + headers + "\r\n" + body;
}

TEST_F(HttpServerTest, KeepsAConnectionForSeveralRequests) {
    start();
    const RawClient client(server_->port());
    for (int i = 0; i < 3; ++i) {
        client.send(echo("{\"n\":" + std::to_string(i) + "}"));
        EXPECT_NE(client.receive("}").find("200 OK"), std::string::npos);
    }
}

TEST_F(HttpServerTest, AnswersRequestsThatArriveTogether) {
    start();
    const RawClient client(server_->port());
    client.send(echo("{\"n\":1}") + echo("{\"n\":2}") + "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    const auto got = client.receive();
    EXPECT_LT(got.find("{\"n\":1}"), got.find("{\"n\":2}"));
    EXPECT_NE(got.find("alive"), std::string::npos);
}

TEST_F(HttpServerTest, TakesARequestByteByByte) {
    start();
    const RawClient client(server_->port());
    for (const char c : echo("{\"slow\":true}", "Connection: close\r\n")) client.send(std::string(1, c));
    EXPECT_NE(client.receive().find("{\"slow\":true}"), std::string::npos);
}

// However it is cut: what is refused is refused as soon as the line that is wrong has ended, and a long one without its end.
TEST_F(HttpServerTest, RefusesAHeadThatComesInPiecesBeforeItIsWhole) {
    start();
    const std::vector<std::pair<std::string, const char*>> wrong = {{"GET /livez HTTP/1.1\n", "400"},
                                                                    {"nonsense\r\n", "400"},
                                                                    {"GET /livez HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n", "400"},
                                                                    {"GET /" + std::string(9'000, 'x'), "414"},
                                                                    {"GET / HTTP/1.1\r\nA: " + std::string(9'000, 'x'), "431"}};
    for (const auto& [head, status] : wrong) {
        const RawClient client(server_->port());
        for (const char c : head) client.send(std::string(1, c));
        const auto got = client.receive("\r\n");
        EXPECT_TRUE(got.starts_with(std::string("HTTP/1.1 ") + status)) << head.substr(0, 40) << ": " << got;
    }
}

// The head is judged once; what comes behind it, lines too, is counted alone.
TEST_F(HttpServerTest, TakesALargeBodyByteByByteBehindALargeHead) {
    start();
    std::string headers = "Connection: close\r\n";
    for (int i = 0; i < 50; ++i) headers += "X-" + std::to_string(i) + ": " + std::string(600, 'x') + "\r\n";
    const auto body = "\"" + std::string(100'000, '\n') + "\"";
    const RawClient client(server_->port());
    for (const char c : echo(body, headers)) client.send(std::string(1, c));
    EXPECT_NE(client.receive().find(body), std::string::npos);
}

TEST_F(HttpServerTest, AsksForTheBodyOfAClientThatWaits) {
    start();
    const RawClient client(server_->port());
    client.send(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: "
        "100-continue\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(client.receive("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("{}");
    const auto got = client.receive();
    EXPECT_TRUE(got.starts_with("HTTP/1.1 200 OK")) << got;
}

TEST_F(HttpServerTest, ErrorsAreProblems) {
    start();
    for (const auto* text :
         {"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", "DELETE /echo HTTP/1.1\r\nHost: localhost\r\n\r\n",
          "GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n", "nonsense\r\n\r\n",
          "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
          "GET /livez HTTP/1.1\r\nHost: localhost\r\nRange: bytes=9-1\r\n\r\n", "POST /echo HTTP/1.1\r\nHost: localhost\r\n\r\n{}"}) {
        const auto got = ask(text);
        EXPECT_NE(got.find("Content-Type: application/problem+json"), std::string::npos) << text << got;
        EXPECT_NE(got.find("\"errors\":[]"), std::string::npos) << got;
    }
}

TEST_F(HttpServerTest, AHandlersMistakeIsA500WithoutDetails) {
    start();
    const auto got = ask("GET /throw HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_TRUE(got.starts_with("HTTP/1.1 500")) << got;
    EXPECT_EQ(got.find("secret words"), std::string::npos);
}

TEST_F(HttpServerTest, TheClientSeesWhyItsLargeBodyIsRefused) {
    start();
    const auto got = ask(echo(std::string(3U << 20, 'x')));
    EXPECT_TRUE(got.starts_with("HTTP/1.1 413")) << got;
}

TEST_F(HttpServerTest, AnAnswerWithoutABodyHasNoLength) {
    start();
    release();
    const auto got = ask("GET /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(got.starts_with("HTTP/1.1 204")) << got;
    EXPECT_EQ(got.find("Content-Length"), std::string::npos);
}

TEST_F(HttpServerTest, HealthAnswersWhileEveryThreadIsBusy) {
    HttpFrontOptions front;
    front.threads = 2;
    start(front);
    std::vector<std::unique_ptr<RawClient>> busy;
    for (int i = 0; i < 8; ++i) {
        busy.push_back(std::make_unique<RawClient>(server_->port()));
        busy.back()->send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    EXPECT_TRUE(is_alive());
    release();
}

TEST_F(HttpServerTest, SlowClientsDoNotKeepOthersOut) {
    HttpFrontOptions front;
    front.max_connections_per_address = 16;
    start(front);
    std::vector<std::unique_ptr<RawClient>> slow;
    for (int i = 0; i < 64; ++i) {
        slow.push_back(std::make_unique<RawClient>(server_->port()));
        slow.back()->send("POST /echo HTTP/1.1\r\nHost: local");
    }
    EXPECT_TRUE(is_alive());
    EXPECT_EQ(slow.front()->receive(), "") << "the one that has kept us waiting longest has made room";
}

TEST_F(HttpServerTest, ARequestHasADeadline) {
    HttpFrontOptions front;
    front.request_deadline = milliseconds{100};
    start(front);
    const RawClient client(server_->port());
    client.send("GET /livez HTTP/1.1\r\n");
    EXPECT_EQ(client.receive(), "");
}

TEST_F(HttpServerTest, ManyHalfSentBodiesAreBounded) {
    HttpFrontOptions front;
    front.max_buffered_bytes = size_t{1} << 20;
    start(front);
    std::vector<std::unique_ptr<RawClient>> greedy;
    const auto most = echo(std::string(900'000, 'x'));
    for (int i = 0; i < 8; ++i) {
        greedy.push_back(std::make_unique<RawClient>(server_->port()));
        greedy.back()->send(most.substr(0, most.size() - 1));
    }
    EXPECT_TRUE(is_alive());
}

TEST_F(HttpServerTest, ASecondOneOnThePortIsRefused) {
    start();
    HttpServer second({"127.0.0.1", server_->port(), {}, {}}, router_);
    const auto listening = second.listen();
    ASSERT_FALSE(listening);
    EXPECT_NE(listening.error().reason.find("PORT"), std::string::npos);
}

TEST_F(HttpServerTest, LetsARequestFinishWhenItStops) {
    start();
    const RawClient client(server_->port());
    client.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    while (!is_alive()) {
    }
    server_->stop_accepting();
    release();
    server_->stop(std::chrono::seconds(5));
    const auto got = client.receive();
    EXPECT_TRUE(got.starts_with("HTTP/1.1 204")) << got;
}

}  // namespace
}  // namespace fetcher
