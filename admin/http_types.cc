#include "admin/http_types.h"

#include <algorithm>

namespace fetcher {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

size_t HttpRequest::header_count(std::string_view name) const {
    return static_cast<size_t>(
        std::count_if(headers.begin(), headers.end(), [&](const auto& header) { return equals_ignoring_case(header.first, name); }));
}

std::optional<std::string> HttpRequest::header(std::string_view name) const {
    std::optional<std::string> found;
    for (const auto& [key, value] : headers) {
        if (!equals_ignoring_case(key, name)) continue;
        if (found) return std::nullopt;
        found = value;
    }
    return found;
}

const char* status_title(int status) {
    switch (status) {
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 409: return "Conflict";
        case 411: return "Length Required";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 416: return "Range Not Satisfiable";
        case 422: return "Unprocessable Content";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        default: return "Error";
    }
}

HttpResponse json_response(int status, const nlohmann::ordered_json& body) {
    // Strings of ours are UTF-8; what a broker said may not be, and an answer must not fail for it.
    return {status, "application/json", body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n", {}};
}

HttpResponse problem_response(const Problem& problem) {
    nlohmann::ordered_json body = {{"type", "about:blank"},
                                   {"title", status_title(problem.status)},
                                   {"status", problem.status},
                                   {"detail", problem.detail},
                                   {"errors", nlohmann::ordered_json::array()}};
    for (const auto& error : problem.errors) body["errors"].push_back({{"pointer", error.pointer}, {"detail", error.detail}});
    return {problem.status, "application/problem+json", body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n",
            problem.headers};
}

HttpResponse empty_response(int status) { return {status, "", "", {}}; }

}  // namespace fetcher
