#include "admin/http_gate.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

HttpRequest get(std::vector<std::pair<std::string, std::string>> headers) {
    HttpRequest request;
    request.method = "GET";
    request.path = "/api/consumers";
    request.headers = std::move(headers);
    return request;
}

int status_of(const HttpGate& gate, const HttpRequest& request, bool is_open = false) {
    const auto refused = gate.refuse(request, is_open);
    return refused ? refused->status : 0;
}

const HttpGate kLoopback({"", "127.0.0.1", {"fetcher.example"}});
const HttpGate kToken({"secret-token", "0.0.0.0", {}});

TEST(HttpGate, WithoutATokenAnswersOnlyToItsOwnNames) {
    for (const auto* host : {"localhost", "localhost:8000", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "fetcher.example:8000"})
        EXPECT_EQ(status_of(kLoopback, get({{"Host", host}})), 0) << host;
    for (const auto* host : {"evil.example", "localhost.evil.example", "192.168.0.1:8000", "[fe80::1]:8000", "evil.example:127.0.0.1"})
        EXPECT_EQ(status_of(kLoopback, get({{"Host", host}})), 403) << host;
    EXPECT_EQ(status_of(kLoopback, get({})), 400);
}

TEST(HttpGate, RefusesForeignOrigins) {
    for (const auto* origin : {"http://evil.example", "https://localhost.evil.example", "null", "", "file://", "http://localhost:9999"})
        EXPECT_EQ(status_of(kLoopback, get({{"Host", "localhost:8000"}, {"Origin", origin}})), 403) << origin;
    EXPECT_EQ(status_of(kLoopback, get({{"Host", "localhost:8000"}, {"Origin", "http://localhost:8000"}})), 0);
    EXPECT_EQ(status_of(kLoopback, get({{"Host", "localhost:8000"}, {"Origin", "https://fetcher.example"}})), 0);
    EXPECT_EQ(status_of(kLoopback, get({{"Host", "localhost"}, {"Origin", "http://localhost"}, {"Origin", "http://localhost"}})), 403);
}

TEST(HttpGate, RefusesPagesOfOtherProgramsOnThisMachine) {
    for (const auto* origin : {"http://127.0.0.1:9999", "http://127.0.0.1", "http://localhost:8000", "http://[::1]:8000", "https://127.0.0.1:80"}) {
        auto request = get({{"Host", "127.0.0.1:8000"}, {"Origin", origin}});
        EXPECT_EQ(status_of(kLoopback, request), 403) << origin;
        request.method = "POST";  // a start or stop, without a body
        EXPECT_EQ(status_of(kLoopback, request), 403) << origin;
    }
    auto own = get({{"Host", "127.0.0.1:8000"}, {"Origin", "http://127.0.0.1:8000"}});
    own.method = "POST";
    EXPECT_EQ(status_of(kLoopback, own), 0);
    EXPECT_EQ(status_of(kLoopback, get({{"Host", "127.0.0.1:8000"}, {"Origin", "http://fetcher.example:9999"}})), 0) << "named by the operator";
}

TEST(HttpGate, AsksForTheToken) {
    EXPECT_EQ(status_of(kToken, get({})), 401);
    for (const auto* given : {"", "Bearer", "Bearer ", "Bearer wrong-token", "Bearer secret-token2", "Bearer secret-toke",
                              "Basic secret-token", "secret-token"})
        EXPECT_EQ(status_of(kToken, get({{"Authorization", given}})), 401) << given;
    EXPECT_EQ(status_of(kToken, get({{"Authorization", "Bearer secret-token"}})), 0);
    EXPECT_EQ(status_of(kToken, get({{"Authorization", "bearer secret-token"}})), 0);
    EXPECT_EQ(status_of(kToken, get({{"Authorization", "Bearer secret-token"}, {"Authorization", "Bearer secret-token"}})), 401);
}

TEST(HttpGate, LetsOpenRoutesPassWithoutAToken) { EXPECT_EQ(status_of(kToken, get({}), true), 0); }

TEST(HttpGate, WithATokenAnyHostNameWillDo) {
    EXPECT_EQ(status_of(kToken, get({{"Host", "pod-7"}, {"Authorization", "Bearer secret-token"}})), 0);
}

TEST(HttpGate, ChangesNeedJson) {
    auto change = get({{"Host", "localhost"}});
    change.method = "POST";
    EXPECT_EQ(status_of(kLoopback, change), 0) << "a start or stop has no body";
    change.body = "{}";
    EXPECT_EQ(status_of(kLoopback, change), 415);
    for (const auto* type :
         {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", ""}) {
        change.headers = {{"Host", "localhost"}, {"Content-Type", type}};
        EXPECT_EQ(status_of(kLoopback, change), 415) << type;
    }
    for (const auto* type : {"application/json", "application/json; charset=utf-8", "Application/JSON"}) {
        change.headers = {{"Host", "localhost"}, {"Content-Type", type}};
        EXPECT_EQ(status_of(kLoopback, change), 0) << type;
    }
}

}  // namespace
}  // namespace fetcher
