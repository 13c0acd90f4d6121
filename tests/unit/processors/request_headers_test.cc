// What all requests of a forwarder have in common, and what of it nobody gets to see.
#include "processors/request_headers.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>

namespace fetcher {
namespace {

class Tokens final : public HttpConnection {
  public:
    explicit Tokens(std::atomic<int>& fetched) : fetched_(fetched) {}
    HttpAnswer send(const OutgoingRequest&) override {
        if (fetched_ < 0) return {.trouble = "away"};
        return {.kind = HttpAnswer::Kind::answered, .status = 200, .body = "{\"access_token\": \"token-" + std::to_string(++fetched_) + "\"}"};
    }
    void abort() override {}
    void rearm() override {}

  private:
    std::atomic<int>& fetched_;
};

class Headers : public ::testing::Test {
  protected:
    ~Headers() override { ::unsetenv("FETCHER_SECRET_API"); }
    void make() {
        headers_ = std::make_unique<RequestHeaders>(options_, "", HttpServerAddress{}, [this](const auto&) { return std::make_unique<Tokens>(fetched_); });
    }
    ForwarderOptions options_;
    std::atomic<int> fetched_ = 0;
    std::unique_ptr<RequestHeaders> headers_;
};

TEST_F(Headers, AServerThatRepeatsAPartOfThemShowsNoSecret) {
    ::setenv("FETCHER_SECRET_API", "abc-123", 1);
    options_.headers = {{"X-Key", "key=${secret:API};v=1"}, {"Authorization", "Bearer written-out"}};
    make();
    ASSERT_TRUE(headers_->current());
    EXPECT_EQ(headers_->redacted("no abc-123, key=abc-123;v=1, written-out, Bearer written-out"), "no ***, ***, ***, ***");
}

TEST_F(Headers, ATokenIsHiddenAsLongAsItMayBeSpokenOf) {
    options_.auth = {.kind = ForwarderAuth::Kind::oauth2, .client_id = "a", .client_secret = "hush-hush"};
    make();
    const auto first = headers_->current();
    ASSERT_TRUE(first);
    EXPECT_TRUE(headers_->renew(*first));
    const auto second = headers_->current();
    ASSERT_TRUE(second);
    EXPECT_EQ((*second)->back().second, "Bearer token-2");
    EXPECT_EQ(headers_->redacted("token-1 token-2 hush-hush"), "*** *** ***");
}

TEST_F(Headers, ATokenThatIsNotToBeHadIsNotWaitedForUntilOneIs) {
    options_.auth = {.kind = ForwarderAuth::Kind::oauth2, .client_id = "a", .client_secret = "hush-hush"};
    make();
    EXPECT_FALSE(headers_->unobtainable({})) << "nobody has asked";
    fetched_ = -1;
    EXPECT_FALSE(headers_->current());
    EXPECT_TRUE(headers_->unobtainable({}));
    fetched_ = 0;
    EXPECT_TRUE(headers_->current());
    EXPECT_FALSE(headers_->unobtainable({}));
}

TEST_F(Headers, WhoAsksAfterTheEndGetsNone) {
    options_.auth = {.kind = ForwarderAuth::Kind::oauth2, .client_id = "a", .client_secret = "hush-hush"};
    make();
    headers_->abort();
    EXPECT_FALSE(headers_->current());
    EXPECT_EQ(fetched_, 0);
}

}  // namespace
}  // namespace fetcher
