#include "admin/request_framing.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

std::string post(const std::string& headers, const std::string& body = "") {
    return "POST /api/consumers HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n" + body;
}

int status_of(const std::string& received) {
    const auto frame = parse_frame(received);
    if (!frame) return frame.error().status;
    return *frame ? 0 : -1;  // -1: more is needed
}

TEST(RequestFraming, FindsTheEndOfARequest) {
    const auto text = post("Content-Length: 5\r\n", "hello");
    const auto frame = parse_frame(text);
    ASSERT_TRUE(frame && *frame);
    EXPECT_EQ((*frame)->total_bytes(), text.size());
    EXPECT_EQ((*frame)->body_bytes, 5U);
    EXPECT_EQ((*frame)->path, "/api/consumers");
}

TEST(RequestFraming, WaitsForTheWholeHead) {
    const auto text = post("Content-Length: 5\r\n");
    for (size_t length = 0; length < text.size(); ++length) EXPECT_EQ(status_of(text.substr(0, length)), -1) << length;
    EXPECT_EQ(status_of(text), 0);
}

TEST(RequestFraming, RefusesLengthTogetherWithTransferEncoding) {
    EXPECT_EQ(status_of(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")), 400);
    EXPECT_EQ(status_of(post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")), 400);
}

TEST(RequestFraming, RefusesChunkedBodies) { EXPECT_EQ(status_of(post("Transfer-Encoding: chunked\r\n")), 411); }

TEST(RequestFraming, RefusesOddLengths) {
    for (const auto* length : {"+5", "-5", "5 5", "0x5", "5,5", "", "%35", "five"})
        EXPECT_EQ(status_of(post("Content-Length: " + std::string(length) + "\r\n")), 400) << length;
    EXPECT_EQ(status_of(post("Content-Length: 5\r\nContent-Length: 5\r\n")), 400);
    EXPECT_EQ(status_of(post("Content-Length: 99999999999999999999999\r\n")), 413);
}

TEST(RequestFraming, RefusesBodiesOverTheLimit) {
    EXPECT_EQ(status_of(post("Content-Length: 1048576\r\n")), 0);
    EXPECT_EQ(status_of(post("Content-Length: 1048577\r\n")), 413);
}

TEST(RequestFraming, RefusesContentEncoding) { EXPECT_EQ(status_of(post("Content-Encoding: gzip\r\nContent-Length: 5\r\n")), 415); }

TEST(RequestFraming, RefusesMalformedLines) {
    EXPECT_EQ(status_of("GET / HTTP/1.1\nHost: a\n\n"), 400);                // bare LF
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400);         // space before the colon
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n"), 400);  // folded line
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nno colon\r\n\r\n"), 400);
    EXPECT_EQ(status_of(std::string("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", 27)), 400);  // NUL
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n"), 400);                   // bare CR
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
    EXPECT_EQ(status_of("GET /a b HTTP/1.1\r\n\r\n"), 400);
    EXPECT_EQ(status_of("GET http://other/ HTTP/1.1\r\n\r\n"), 400);
    EXPECT_EQ(status_of("\r\n\r\n"), 400);
    EXPECT_EQ(status_of("{\"a\": 1}\r\n\r\n"), 400);
}

TEST(RequestFraming, RefusesUnknownMethodsAndVersions) {
    EXPECT_EQ(status_of("BREW / HTTP/1.1\r\n\r\n"), 501);
    EXPECT_EQ(status_of("CONNECT / HTTP/1.1\r\n\r\n"), 501);
    EXPECT_EQ(status_of("GET / HTTP/2.0\r\n\r\n"), 505);
}

TEST(RequestFraming, LimitsTheHead) {
    EXPECT_EQ(status_of("GET /" + std::string(kMaxLineBytes, 'a')), 414);
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nA: " + std::string(kMaxLineBytes, 'a')), 431);
    std::string many = "GET / HTTP/1.1\r\n";
    for (size_t i = 0; i <= kMaxHeaders; ++i) many += "A: b\r\n";
    EXPECT_EQ(status_of(many + "\r\n"), 431);
    std::string large = "GET / HTTP/1.1\r\n";
    while (large.size() < kMaxHeadBytes) large += "A: " + std::string(4'000, 'a') + "\r\n";
    EXPECT_EQ(status_of(large), 431);
}

TEST(RequestFraming, KnowsWhoWaitsToBeAskedForTheBody) {
    EXPECT_TRUE((*parse_frame(post("Expect: 100-continue\r\nContent-Length: 5\r\n")))->expects_continue);
    EXPECT_EQ(status_of(post("Expect: miracles\r\nContent-Length: 5\r\n")), 417);
}

}  // namespace
}  // namespace fetcher
