// Router: finds the handler of a request. Patterns are plain segments and {parameters}: "/api/consumers/{consumer_id}/start".
// Thread: set up by one, then any
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/http_types.h"

namespace fetcher {

using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

class Router {
  public:
    enum class Access { token, open };  // open: answered without a token

    void add(std::string method, std::string_view pattern, HttpHandler handler, Access access = Access::token);

    // Whether the path belongs to an open route, so that the gate knows before routing.
    bool is_open(std::string_view path) const;
    // Answers 404 and 405 (with Allow) itself, HEAD through GET, OPTIONS with Allow.
    HttpResponse route(HttpRequest& request) const;

  private:
    struct Route {
        std::string method;
        std::vector<std::string> segments;
        HttpHandler handler;
        Access access;
    };
    static bool matches(const Route& route, const std::vector<std::string_view>& path);

    std::vector<Route> routes_;
};

}  // namespace fetcher
