// What handlers see of HTTP. The server's library stays in http_server.cc.
// Thread: any; values
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "admin/problem.h"

namespace fetcher {

struct HttpRequest {
    std::string method;
    std::string path;  // decoded, without the query
    std::vector<std::pair<std::string, std::string>> headers;
    std::multimap<std::string, std::string> query;
    std::map<std::string, std::string> path_params;
    std::string body;

    // The value of a header, names compared without case; nullopt if it is missing or there is more than one.
    std::optional<std::string> header(std::string_view name) const;
    size_t header_count(std::string_view name) const;
};

struct HttpResponse {
    int status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
};

const char* status_title(int status);
HttpResponse json_response(int status, const nlohmann::ordered_json& body);  // fields in the order given
HttpResponse problem_response(const Problem& problem);
HttpResponse empty_response(int status);

bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace fetcher
