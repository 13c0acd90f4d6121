#include <nlohmann/json.hpp>

#include "admin/routes.h"

namespace fetcher {

void add_health_routes(Router& router, ConsumerService& service) {
    const auto ok = [](const char* status) { return json_response(200, nlohmann::ordered_json{{"status", status}}); };
    router.add("GET", "/livez", [ok](const HttpRequest&) { return ok("alive"); }, Router::Access::open);
    router.add(
        "GET", "/readyz",
        [&service, ok](const HttpRequest&) {
            const auto ready = service.ready();
            return ready ? ok("ready") : problem_response(ready.error());
        },
        Router::Access::open);
}

}  // namespace fetcher
