#include <charconv>

#include "admin/consumer_json.h"
#include "admin/json_body.h"
#include "admin/query.h"
#include "admin/routes.h"

namespace fetcher {

namespace {

constexpr size_t kMaxPage = 1'000;

nlohmann::ordered_json whole(const ConsumerService& service, const ConsumerView& view) {
    return consumer_json(view.stored, view.health, view.seen, service.config());
}

// The two-field answer of start and stop; 202 while a stop is still draining.
HttpResponse brief(const Answer<ConsumerView>& view) {
    if (!view) return problem_response(view.error());
    return json_response(view->settled ? 200 : 202,
                         nlohmann::ordered_json{{"consumer_id", view->stored.consumer_id}, {"status", view->health.status}});
}

HttpResponse create(ConsumerService& service, const HttpRequest& request) {
    const auto body = parse_json_body(request.body);
    if (!body) return problem_response(body.error());
    const auto view = service.create(*body);
    if (!view) return problem_response(view.error());
    auto response = json_response(201, whole(service, *view));
    response.headers.emplace_back("Location", "/api/consumers/" + view->stored.consumer_id);
    return response;
}

HttpResponse update(ConsumerService& service, const HttpRequest& request) {
    const auto body = parse_json_body(request.body);
    if (!body) return problem_response(body.error());
    const auto view = service.update(request.path_params.at("consumer_id"), *body);
    if (!view) return problem_response(view.error());
    return json_response(view->settled ? 200 : 202, whole(service, *view));
}

template <class Number>
bool parse_number(const std::string& text, Number least, Number most, Number& number) {
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    return code == std::errc() && end == text.data() + text.size() && number >= least && number <= most;
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
    if (given.contains("limit") && !given["limit"].empty() && !parse_number(given["limit"], size_t{1}, kMaxPage, filter.limit))
        errors.push_back({"?limit", "must be a number from 1 to " + std::to_string(kMaxPage)});
    if (given.contains("cursor") && !given["cursor"].empty() && !parse_number(given["cursor"], int64_t{0}, INT64_MAX, filter.after))
        errors.push_back({"?cursor", "must be the next_cursor of an earlier answer"});
    if (!errors.empty()) return problem(422, "The query is not valid; see errors.", std::move(errors));
    return filter;
}

HttpResponse list(ConsumerService& service, const HttpRequest& request) {
    const auto filter = filter_of(request);
    if (!filter) return problem_response(filter.error());
    const auto page = service.list(*filter);
    if (!page) return problem_response(page.error());
    nlohmann::ordered_json body = {{"items", nlohmann::ordered_json::array()}, {"next_cursor", nullptr}};
    for (const auto& view : page->items) body["items"].push_back(whole(service, view));
    if (page->next) body["next_cursor"] = std::to_string(*page->next);
    return json_response(200, body);
}

HttpResponse get(ConsumerService& service, const HttpRequest& request) {
    const auto view = service.get(request.path_params.at("consumer_id"));
    return view ? json_response(200, whole(service, *view)) : problem_response(view.error());
}

HttpResponse remove(ConsumerService& service, const HttpRequest& request) {
    const auto removed = service.remove(request.path_params.at("consumer_id"));
    return removed ? empty_response(204) : problem_response(removed.error());
}

}  // namespace

void add_consumer_routes(Router& router, ConsumerService& service) {
    const std::string one = "/api/consumers/{consumer_id}";
    const auto id = [](const HttpRequest& request) { return request.path_params.at("consumer_id"); };
    router.add("GET", "/api/consumers", [&](const HttpRequest& request) { return list(service, request); });
    router.add("POST", "/api/consumers", [&](const HttpRequest& request) { return create(service, request); });
    router.add("GET", one, [&](const HttpRequest& request) { return get(service, request); });
    router.add("PUT", one, [&](const HttpRequest& request) { return update(service, request); });
    router.add("DELETE", one, [&](const HttpRequest& request) { return remove(service, request); });
    router.add("POST", one + "/start", [&service, id](const HttpRequest& request) { return brief(service.start(id(request))); });
    router.add("POST", one + "/stop", [&service, id](const HttpRequest& request) { return brief(service.stop(id(request))); });
}

}  // namespace fetcher
