#include <nlohmann/json.hpp>

#include "admin/routes.h"

namespace fetcher {

void add_processor_type_routes(Router& router, const ProcessorRegistry& registry) {
    router.add("GET", "/api/processor-types", [&](const HttpRequest&) {
        auto items = nlohmann::ordered_json::array();
        for (const auto& type : registry.types())
            items.push_back({{"processor_type", type->name()}, {"config_schema", nlohmann::ordered_json(type->schema())}});
        return json_response(200, nlohmann::ordered_json{{"items", std::move(items)}});
    });
}

}  // namespace fetcher
