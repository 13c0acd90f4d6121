// Where requests may go, what may be in their headers, and what answers mean.
#include <gtest/gtest.h>

#include "processors/address_rules.h"
#include "processors/http_headers.h"
#include "processors/http_url.h"
#include "processors/http_verdict.h"
#include "processors/request_limit.h"

namespace fetcher {
namespace {

using namespace std::chrono_literals;

bool may_send(const AddressRules& rules, const std::string& host, const std::string& address) {
    return !rules.objection(host, *IpAddress::parse(address));
}

TEST(HttpUrl, IsTakenApart) {
    const auto url = parse_http_url("https://API.Example.com:8443/a/b?key=1");
    ASSERT_TRUE(url);
    EXPECT_TRUE(url->tls);
    EXPECT_EQ(url->host, "api.example.com");
    EXPECT_EQ(url->port, 8443);
    EXPECT_EQ(url->target, "/a/b?key=1");
    EXPECT_EQ(url->shown(), "https://api.example.com:8443/a/b");
    EXPECT_EQ(parse_http_url("http://h")->target, "/");
    EXPECT_EQ(parse_http_url("http://h?q")->target, "/?q");
    EXPECT_EQ(parse_http_url("http://[::1]:80/")->host, "::1");
    EXPECT_EQ(parse_http_url("http://[::1]:80/")->shown(), "http://[::1]/");
}

TEST(HttpUrl, RefusesWhatLeadsAstray) {
    for (const char* text : {"", "ftp://h/", "http://", "http:///x", "//h", "h/x", "http://me:pw@h/", "http://me@h/", "http://h:0/", "http://h:65536/",
                             "http://h:x/", "http://h /", "http://h/a b", "http://h/\r\nX: y", "http://h/#x", "http://[::1/", "http://[fe80::1%eth0]/",
                             "http://a\\b/", "http://h:80:80/", "http://\xc3\xa4/"}) {
        EXPECT_FALSE(parse_http_url(text)) << text;
    }
}

TEST(AddressRules, NeverAllowMetadataAndLinkLocalInAnyDisguise) {
    const auto all = AddressRules::parse({"0.0.0.0/0", "::/0", "*.internal"});
    ASSERT_TRUE(all);
    for (const auto* address : {"169.254.169.254", "169.254.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fe80::1", "febf::1", "fd00:ec2::254",
                                "fd20:ce::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::a9fe:a9fe"}) {
        EXPECT_FALSE(may_send({}, "h", address)) << address;
        EXPECT_FALSE(may_send(*all, "metadata.internal", address)) << address;
    }
    for (const auto* address : {"127.0.0.1", "::1", "10.0.0.1", "169.253.255.255", "169.255.0.0", "fec0::1", "8.8.8.8", "2001:db8::1"}) {
        EXPECT_TRUE(may_send({}, "h", address)) << address;
    }
}

TEST(AddressRules, AllowNamesPatternsAndNetworks) {
    const auto rules = AddressRules::parse({"API.example.com", "*.trusted.org", "10.0.0.0/8", "192.168.1.7", "fd00:1::/32"});
    ASSERT_TRUE(rules) << rules.error();
    EXPECT_TRUE(may_send(*rules, "api.example.com", "8.8.8.8"));
    EXPECT_TRUE(may_send(*rules, "a.b.trusted.org", "8.8.8.8"));
    EXPECT_TRUE(may_send(*rules, "anything", "10.255.0.1"));
    EXPECT_TRUE(may_send(*rules, "192.168.1.7", "192.168.1.7"));
    EXPECT_TRUE(may_send(*rules, "anything", "fd00:1:2::3"));
    EXPECT_FALSE(may_send(*rules, "other.example.com", "8.8.8.8"));
    EXPECT_FALSE(may_send(*rules, "trusted.org", "8.8.8.8"));
    EXPECT_FALSE(may_send(*rules, "nottrusted.org", "8.8.8.8"));
    EXPECT_FALSE(may_send(*rules, "anything", "11.0.0.1"));
    EXPECT_FALSE(may_send(*rules, "anything", "192.168.1.8"));
    EXPECT_FALSE(may_send(*rules, "anything", "fd00:2::1"));
    EXPECT_TRUE(rules->objection("11.0.0.1"));
    EXPECT_FALSE(rules->objection("might.resolve.to.10.x"));
    for (const char* wrong : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "fd00::/129", "http://h", "h:80", "*", "*.", "a*b", "h/8"}) {
        EXPECT_FALSE(AddressRules::parse({wrong})) << wrong;
    }
}

TEST(HttpHeaders, AreOursWhereTheyFrameTheRequest) {
    for (const char* name : {"Host", "CONTENT-LENGTH", "transfer-encoding", "Connection", "Idempotency-Key", "Expect", "", "a b", "a:b", "a\n", "\xc3\xa4"}) {
        EXPECT_TRUE(header_name_problem(name)) << name;
    }
    for (const char* name : {"Authorization", "X-Key", "Content-Type"}) EXPECT_FALSE(header_name_problem(name)) << name;
    for (const std::string& value : {std::string("a\r\nb"), std::string("a\nb"), std::string("a\0b", 3), std::string("\x7f"), std::string(8193, 'x')}) {
        EXPECT_TRUE(header_value_problem(value)) << value;
    }
    EXPECT_FALSE(header_value_problem("Bearer abc\tdef \xc3\xa4"));
}

TEST(HttpVerdict, TellsWhatMayBeTriedAgain) {
    for (const int status : {200, 201, 202, 204, 299}) EXPECT_EQ(verdict_of(status), Verdict::delivered) << status;
    for (const int status : {408, 425, 429, 500, 502, 503, 504, 599}) EXPECT_EQ(verdict_of(status), Verdict::retry) << status;
    for (const int status : {400, 403, 404, 409, 413, 415, 422}) EXPECT_EQ(verdict_of(status), Verdict::bad_record) << status;
    for (const int status : {301, 302, 307, 308, 304, 401, 407, 501}) EXPECT_EQ(verdict_of(status), Verdict::endpoint) << status;
}

TEST(HttpVerdict, ReadsRetryAfterInSecondsAndAsADate) {
    const auto now = std::chrono::system_clock::from_time_t(784111777);  // Sun, 06 Nov 1994 08:49:37 GMT
    EXPECT_EQ(parse_retry_after("7", now), 7s);
    EXPECT_EQ(parse_retry_after(" 0 ", now), 0s);
    EXPECT_EQ(parse_retry_after("999999", now), 5min);
    EXPECT_EQ(parse_retry_after("99999999999999999999", now), 5min);
    EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:50:07 GMT", now), 30s);
    EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:07 GMT", now), 0s);
    EXPECT_EQ(parse_retry_after("Sun, 06 Nov 2094 08:49:07 GMT", now), 5min);
    for (const char* text : {"", " ", "-1", "1.5", "soon", "7 s", "Sun, 06 Nov 1994"}) EXPECT_FALSE(parse_retry_after(text, now)) << text;
}

TEST(RequestLimit, HalvesAtOnceAndGrowsSlowly) {
    RequestLimit limit(8);
    const RequestLimit::TimePoint begin = RequestLimit::TimePoint() + 1h;
    limit.asked_for_less(begin);
    limit.asked_for_less(begin + 10ms);  // of the same moment
    EXPECT_EQ(limit.now(), 4u);
    limit.asked_for_less(begin + 1s);
    limit.asked_for_less(begin + 2s);
    limit.asked_for_less(begin + 3s);
    EXPECT_EQ(limit.now(), 1u);
    for (int i = 0; i < 1000; i++) limit.went_well(begin + 3s + 500ms);
    EXPECT_EQ(limit.now(), 1u);
    for (int i = 1; i < 20; i++) limit.went_well(begin + 3s + i * 1s);
    EXPECT_EQ(limit.now(), 8u);
}

}  // namespace
}  // namespace fetcher
