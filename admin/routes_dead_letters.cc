#include "admin/json_body.h"
#include "admin/query.h"
#include "admin/routes.h"
#include "admin/schema_validator.h"
#include "processors/byte_buffer.h"
#include "processors/ndjson_encoder.h"

namespace fetcher {

namespace {

using json = nlohmann::ordered_json;

constexpr int64_t kMaxPage = 1'000;
constexpr int64_t kDefaultPage = 100;
constexpr size_t kShownBytes = 64 << 10;  // of a key, value or header; the whole is in the destination

// A string where the bytes are UTF-8, else {"base64": …}; null is null.
json shown(const std::optional<std::string>& bytes) {
    if (!bytes) return nullptr;
    ByteBuffer text;
    NdjsonEncoder::append_text(std::string_view(*bytes).substr(0, kShownBytes), text);
    return json::parse(text.view());
}

json letter_json(const ListedLetter& item) {
    const auto& letter = item.letter;
    json headers = json::array();
    for (const auto& [name, value] : letter.headers) headers.push_back({{"name", shown(name)}, {"value", shown(value)}});
    json body = {{"id", letter.id()},
                 {"failed_at", letter.failed_at},
                 {"error", letter.error},
                 {"processor_id", letter.processor_id},
                 {"processor_type", letter.processor_type},
                 {"replays", letter.replays},
                 {"replayed", item.replayed},
                 {"topic", letter.topic},
                 {"partition", letter.partition},
                 {"offset", letter.offset},
                 {"timestamp", letter.timestamp_ms},
                 {"key", shown(letter.key)},
                 {"headers", std::move(headers)},
                 {"value", shown(letter.value)}};
    if (letter.value.value_or("").size() > kShownBytes) body["value_bytes"] = letter.value->size();  // more than is shown
    return body;
}

json cursor_json(const std::string& cursor) { return cursor.empty() ? json(nullptr) : json(cursor); }

HttpResponse list(DeadLetterService& service, const HttpRequest& request) {
    auto query = parse_query(request, {{"limit"}, {"cursor"}});
    if (!query) return problem_response(query.error());
    const auto limit = query->contains("limit") ? parse_number((*query)["limit"], 1, kMaxPage) : kDefaultPage;
    if (!limit) {
        return problem_response(
            {422, "The query is not valid; see errors.", {{"?limit", "must be a number from 1 to " + std::to_string(kMaxPage)}}, {}});
    }
    const auto page = service.list(request.path_params.at("consumer_id"), static_cast<size_t>(*limit), (*query)["cursor"]);
    if (!page) return problem_response(page.error());
    json body = {{"items", json::array()}, {"next_cursor", cursor_json(page->next_cursor)}};
    for (const auto& item : page->items) body["items"].push_back(letter_json(item));
    return json_response(200, body);
}

// Every field may be left out; {} is all that have not been delivered anew.
Answer<LetterFilter> filter_in(const nlohmann::json& body) {
    static const nlohmann::json schema = {
        {"type", "object"},
        {"additionalProperties", false},
        {"properties",
         {{"ids", {{"type", "array"}, {"minItems", 1}, {"maxItems", kMaxPage}, {"items", {{"type", "string"}}}}},
          {"processor_id", {{"type", "string"}}},
          {"partition", {{"type", "integer"}, {"minimum", 0}, {"maximum", INT32_MAX}}},
          {"error", {{"type", "string"}}}}}};
    auto errors = validate_by_schema(schema, body);
    if (!errors.empty()) return problem(422, "The body is not valid; see errors. {} replays all.", std::move(errors));
    LetterFilter filter;
    filter.ids = body.value("ids", filter.ids);
    filter.processor_id = body.value("processor_id", "");
    filter.error = body.value("error", "");
    if (body.contains("partition")) filter.partition = body["partition"].get<int32_t>();
    return filter;
}

HttpResponse replay(DeadLetterService& service, const HttpRequest& request) {
    auto query = parse_query(request, {{"cursor"}});
    if (!query) return problem_response(query.error());
    const auto body = parse_json_body(request.body);
    if (!body) return problem_response(body.error());
    const auto filter = filter_in(*body);
    if (!filter) return problem_response(filter.error());
    const auto report = service.replay(request.path_params.at("consumer_id"), *filter, (*query)["cursor"]);
    if (!report) return problem_response(report.error());
    return json_response(200, json{{"delivered", report->delivered},
                                   {"refused_again", report->refused_again},
                                   {"already_replayed", report->already_replayed},
                                   {"without_processor", report->without_processor},
                                   {"newer", report->newer},
                                   {"next_cursor", cursor_json(report->next_cursor)},
                                   {"stopped_because", report->stopped_because.empty() ? json(nullptr) : json(report->stopped_because)}});
}

}  // namespace

void add_dead_letter_routes(Router& router, DeadLetterService& service) {
    const std::string all = "/api/consumers/{consumer_id}/dead-letters";
    router.add("GET", all, [&](const HttpRequest& request) { return list(service, request); });
    router.add("POST", all + "/replay", [&](const HttpRequest& request) { return replay(service, request); });
}

}  // namespace fetcher
