#include "admin/consumer_json.h"
#include "admin/entity_tag.h"
#include "admin/json_body.h"
#include "admin/query.h"
#include "admin/routes.h"
#include "admin/schema_validator.h"

namespace fetcher {

namespace {

constexpr int64_t kMaxPage = 1'000;
constexpr int64_t kDefaultPage = 100;

HttpResponse list(ConsumerService& service, const HttpRequest& request) {
    auto query = parse_query(request, {{"limit"}, {"cursor"}});
    if (!query) return problem_response(query.error());
    std::vector<FieldError> errors;
    const auto limit = query->contains("limit") ? parse_number((*query)["limit"], 1, kMaxPage) : kDefaultPage;
    const auto before = query->contains("cursor") ? parse_number((*query)["cursor"], 1, INT64_MAX) : INT64_MAX;
    if (!limit) errors.push_back({"?limit", "must be a number from 1 to " + std::to_string(kMaxPage)});
    if (!before) errors.push_back({"?cursor", "must be the next_cursor of an earlier answer"});
    if (!errors.empty()) return problem_response({422, "The query is not valid; see errors.", std::move(errors), {}});

    const auto page = service.revisions(request.path_params.at("consumer_id"), *before, static_cast<size_t>(*limit));
    if (!page) return problem_response(page.error());
    nlohmann::ordered_json body = {{"items", nlohmann::ordered_json::array()}, {"next_cursor", nullptr}};
    for (const auto& revision : page->items) body["items"].push_back(version_json(revision, service.config()));
    if (page->next) body["next_cursor"] = std::to_string(*page->next);
    return json_response(200, body);
}

// {"version": 3}
Answer<int64_t> version_in(const HttpRequest& request) {
    const auto body = parse_json_body(request.body);
    if (!body) return tl::unexpected<Problem>(body.error());
    static const nlohmann::json schema = {{"type", "object"},
                                          {"additionalProperties", false},
                                          {"required", {"version"}},
                                          {"properties", {{"version", {{"type", "integer"}, {"minimum", 1}, {"maximum", INT64_MAX}}}}}};
    auto errors = validate_by_schema(schema, *body);
    if (!errors.empty()) return problem(422, "The body is not valid; see errors. GET …/versions lists the versions.", std::move(errors));
    return body->at("version").get<int64_t>();
}

HttpResponse rollback(ConsumerService& service, const HttpRequest& request) {
    const auto precondition = if_match(request);
    if (!precondition) return problem_response(precondition.error());
    const auto version = version_in(request);
    if (!version) return problem_response(version.error());
    const auto view = service.rollback(request.path_params.at("consumer_id"), *version, *precondition);
    return view ? consumer_response(view->settled ? 200 : 202, service.config(), *view) : problem_response(view.error());
}

}  // namespace

void add_version_routes(Router& router, ConsumerService& service) {
    const std::string one = "/api/consumers/{consumer_id}";
    router.add("GET", one + "/versions", [&](const HttpRequest& request) { return list(service, request); });
    router.add("POST", one + "/rollback", [&](const HttpRequest& request) { return rollback(service, request); });
}

}  // namespace fetcher
