#include "admin/consumer_json.h"
#include "admin/entity_tag.h"
#include "admin/json_body.h"
#include "admin/query.h"
#include "admin/routes.h"

namespace fetcher {

namespace {

constexpr int64_t kMaxPage = 1'000;

void warn_if(bool stale, HttpResponse& response) {
    if (stale) response.headers.emplace_back("Warning", "110 kafka-fetcher \"The store is away; this is what it last said\"");
}

nlohmann::ordered_json whole(const ConsumerConfig& config, const ConsumerView& view) {
    auto json = consumer_json(view.stored, view.health, view.seen, config);
    if (!view.replicas.empty()) json["replicas"] = replicas_json(view.replicas);
    return json;
}

// Start and stop, with their answer of two fields; 202 while a stop is still draining.
template <class Act>
HttpResponse switched(const HttpRequest& request, Act act) {
    const auto precondition = if_match(request);
    if (!precondition) return problem_response(precondition.error());
    const Answer<ConsumerView> view = act(request.path_params.at("consumer_id"), *precondition);
    if (!view) return problem_response(view.error());
    auto response = json_response(view->settled ? 200 : 202,
                                  nlohmann::ordered_json{{"consumer_id", view->stored.consumer_id}, {"status", view->health.status}});
    add_entity_tag(response, view->stored.revision);
    return response;
}

HttpResponse create(ConsumerService& service, const HttpRequest& request) {
    const auto body = parse_json_body(request.body);
    if (!body) return problem_response(body.error());
    const auto view = service.create(*body);
    if (!view) return problem_response(view.error());
    auto response = consumer_response(201, service.config(), *view);
    response.headers.emplace_back("Location", "/api/consumers/" + view->stored.consumer_id);
    return response;
}

HttpResponse update(ConsumerService& service, const HttpRequest& request) {
    const auto precondition = if_match(request);
    if (!precondition) return problem_response(precondition.error());
    const auto body = parse_json_body(request.body);
    if (!body) return problem_response(body.error());
    const auto view = service.update(request.path_params.at("consumer_id"), *body, *precondition);
    if (!view) return problem_response(view.error());
    return consumer_response(view->settled ? 200 : 202, service.config(), *view);
}

Answer<ConsumerFilter> filter_of(const HttpRequest& request) {
    auto query = parse_query(request, {{"status"}, {"topic"}, {"group"}, {"limit"}, {"cursor"}});
    if (!query) return tl::unexpected<Problem>(query.error());
    std::vector<FieldError> errors;
    ConsumerFilter filter;
    auto& given = *query;
    filter.status = given["status"];
    filter.topic = given["topic"];
    filter.group = given["group"];
    if (!filter.status.empty() && filter.status != "ACTIVE" && filter.status != "INACTIVE" && filter.status != "ERROR")
        errors.push_back({"?status", "must be one of ACTIVE, INACTIVE, ERROR"});
    if (given.contains("limit") && !given["limit"].empty()) {
        if (const auto limit = parse_number(given["limit"], 1, kMaxPage)) filter.limit = static_cast<size_t>(*limit);
        else errors.push_back({"?limit", "must be a number from 1 to " + std::to_string(kMaxPage)});
    }
    if (given.contains("cursor") && !given["cursor"].empty()) {
        if (const auto after = parse_number(given["cursor"], 0, INT64_MAX)) filter.after = *after;
        else errors.push_back({"?cursor", "must be the next_cursor of an earlier answer"});
    }
    if (!errors.empty()) return problem(422, "The query is not valid; see errors.", std::move(errors));
    return filter;
}

HttpResponse list(ConsumerService& service, const HttpRequest& request) {
    const auto filter = filter_of(request);
    if (!filter) return problem_response(filter.error());
    const auto page = service.list(*filter);
    if (!page) return problem_response(page.error());
    nlohmann::ordered_json body = {{"items", nlohmann::ordered_json::array()}, {"next_cursor", nullptr}};
    for (const auto& view : page->items) body["items"].push_back(whole(service.config(), view));
    if (page->next) body["next_cursor"] = std::to_string(*page->next);
    auto response = json_response(200, body);
    warn_if(page->stale, response);
    return response;
}

HttpResponse get(ConsumerService& service, const HttpRequest& request) {
    const auto view = service.get(request.path_params.at("consumer_id"));
    return view ? consumer_response(200, service.config(), *view) : problem_response(view.error());
}

HttpResponse remove(ConsumerService& service, const HttpRequest& request) {
    const auto precondition = if_match(request);
    if (!precondition) return problem_response(precondition.error());
    const auto removed = service.remove(request.path_params.at("consumer_id"), *precondition);
    return removed ? empty_response(204) : problem_response(removed.error());
}

}  // namespace

HttpResponse consumer_response(int status, const ConsumerConfig& config, const ConsumerView& view) {
    auto response = json_response(status, whole(config, view));
    add_entity_tag(response, view.stored.revision);
    warn_if(view.stale, response);
    return response;
}

void add_consumer_routes(Router& router, ConsumerService& service) {
    const std::string one = "/api/consumers/{consumer_id}";
    router.add("GET", "/api/consumers", [&](const HttpRequest& request) { return list(service, request); });
    router.add("POST", "/api/consumers", [&](const HttpRequest& request) { return create(service, request); });
    router.add("GET", one, [&](const HttpRequest& request) { return get(service, request); });
    router.add("PUT", one, [&](const HttpRequest& request) { return update(service, request); });
    router.add("DELETE", one, [&](const HttpRequest& request) { return remove(service, request); });
    router.add("POST", one + "/start", [&](const HttpRequest& request) {
        return switched(request, [&](const std::string& id, const Precondition& seen) { return service.start(id, seen); });
    });
    router.add("POST", one + "/restart", [&](const HttpRequest& request) {
        return switched(request, [&](const std::string& id, const Precondition& seen) { return service.restart(id, seen); });
    });
    router.add("POST", one + "/stop", [&](const HttpRequest& request) {
        return switched(request, [&](const std::string& id, const Precondition& seen) { return service.stop(id, seen); });
    });
}

}  // namespace fetcher
