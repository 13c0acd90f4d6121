#include "admin/router.h"

#include <algorithm>
#include <set>

namespace fetcher {

namespace {

std::vector<std::string_view> split(std::string_view path) {
    std::vector<std::string_view> segments;
    while (!path.empty()) {
        path.remove_prefix(1);  // the slash
        const auto end = std::min(path.find('/'), path.size());
        segments.push_back(path.substr(0, end));
        path.remove_prefix(end);
    }
    return segments;
}

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }

std::string joined(const std::set<std::string>& methods) {
    std::string text;
    for (const auto& method : methods) text += (text.empty() ? "" : ", ") + method;
    return text;
}

}  // namespace

void Router::add(std::string method, std::string_view pattern, HttpHandler handler, Access access) {
    Route route{std::move(method), {}, std::move(handler), access};
    for (const auto segment : split(pattern)) route.segments.emplace_back(segment);
    routes_.push_back(std::move(route));
}

bool Router::matches(const Route& route, const std::vector<std::string_view>& path) {
    return std::equal(
        route.segments.begin(), route.segments.end(), path.begin(), path.end(),
        [](const std::string& pattern, std::string_view segment) { return is_parameter(pattern) ? !segment.empty() : pattern == segment; });
}

bool Router::is_open(std::string_view path) const {
    if (!path.starts_with('/')) return false;
    const auto segments = split(path);
    return std::any_of(routes_.begin(), routes_.end(),
                       [&](const Route& route) { return route.access == Access::open && matches(route, segments); });
}

HttpResponse Router::route(HttpRequest& request) const {
    std::set<std::string> allowed;
    const auto segments = request.path.starts_with('/') ? split(request.path) : std::vector<std::string_view>{};
    for (const auto& route : routes_) {
        if (!matches(route, segments)) continue;
        allowed.insert({route.method, "OPTIONS"});
        if (route.method == "GET") allowed.insert("HEAD");
        if (request.method != route.method && !(request.method == "HEAD" && route.method == "GET")) continue;
        for (size_t i = 0; i < segments.size(); ++i) {
            const auto& name = route.segments[i];
            if (is_parameter(name)) request.path_params[name.substr(1, name.size() - 2)] = segments[i];
        }
        return route.handler(request);
    }
    if (allowed.empty()) return problem_response({404, "No such resource: " + request.path, {}, {}});
    if (request.method == "OPTIONS") {
        auto response = empty_response(204);
        response.headers = {{"Allow", joined(allowed)}};
        return response;
    }
    return problem_response(
        {405, request.method + " is not possible here; possible: " + joined(allowed) + ".", {}, {{"Allow", joined(allowed)}}});
}

}  // namespace fetcher
