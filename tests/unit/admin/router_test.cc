#include "admin/router.h"

#include <gtest/gtest.h>

namespace fetcher {
namespace {

class RouterTest : public ::testing::Test {
  protected:
    RouterTest() {
        router_.add("GET", "/api/things", [](const HttpRequest&) { return empty_response(200); });
        router_.add("POST", "/api/things", [](const HttpRequest&) { return empty_response(201); });
        router_.add("GET", "/api/things/{id}", [](const HttpRequest& request) {
            auto response = empty_response(200);
            response.body = request.path_params.at("id");
            return response;
        });
        router_.add("GET", "/livez", [](const HttpRequest&) { return empty_response(200); }, Router::Access::open);
    }
    HttpResponse ask(const std::string& method, const std::string& path) {
        HttpRequest request;
        request.method = method;
        request.path = path;
        return router_.route(request);
    }
    Router router_;
};

TEST_F(RouterTest, FindsByMethodAndPath) {
    EXPECT_EQ(ask("GET", "/api/things").status, 200);
    EXPECT_EQ(ask("POST", "/api/things").status, 201);
}

TEST_F(RouterTest, GivesPathParameters) { EXPECT_EQ(ask("GET", "/api/things/7").body, "7"); }

TEST_F(RouterTest, AnswersHeadThroughGet) { EXPECT_EQ(ask("HEAD", "/api/things").status, 200); }

TEST_F(RouterTest, SaysWhatIsAllowed) {
    const auto refused = ask("DELETE", "/api/things");
    EXPECT_EQ(refused.status, 405);
    ASSERT_EQ(refused.headers.size(), 1U);
    EXPECT_EQ(refused.headers[0].second, "GET, HEAD, OPTIONS, POST");
    const auto options = ask("OPTIONS", "/api/things");
    EXPECT_EQ(options.status, 204);
    EXPECT_EQ(options.headers[0].second, "GET, HEAD, OPTIONS, POST");
}

TEST_F(RouterTest, KnowsNoOtherPaths) {
    for (const auto* path : {"", "/", "api/things", "/api", "/api/things/", "/api/things/7/8", "//api/things", "*"})
        EXPECT_EQ(ask("GET", path).status, 404) << path;
}

TEST_F(RouterTest, OnlyOpenRoutesAreOpen) {
    EXPECT_TRUE(router_.is_open("/livez"));
    EXPECT_FALSE(router_.is_open("/livez/"));
    EXPECT_FALSE(router_.is_open("/api/things"));
    EXPECT_FALSE(router_.is_open("/unknown"));
}

}  // namespace
}  // namespace fetcher
