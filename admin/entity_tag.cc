#include "admin/entity_tag.h"

#include <string_view>

#include "admin/query.h"

namespace fetcher {

namespace {

void skip_blanks(std::string_view& text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
}

// Takes one tag off the front. False: there is none.
bool take_tag(std::string_view& text, std::vector<int64_t>& revisions) {
    const bool weak = text.starts_with("W/");
    if (weak) text.remove_prefix(2);
    if (!text.starts_with('"')) return false;
    const auto end = text.find('"', 1);
    if (end == std::string_view::npos) return false;
    const auto revision = parse_number(text.substr(1, end - 1), 1, INT64_MAX);
    if (revision && !weak) revisions.push_back(*revision);
    text.remove_prefix(end + 1);
    return true;
}

}  // namespace

void add_entity_tag(HttpResponse& response, int64_t revision) {
    response.headers.emplace_back("ETag", "\"" + std::to_string(revision) + "\"");
}

Answer<Precondition> if_match(const HttpRequest& request) {
    if (request.header_count("If-Match") == 0) return Precondition{};
    const auto wrong = [] {
        return problem(400, "The header If-Match must be given once and hold the ETag of an answer, like \"3\", several with commas, or *.");
    };
    const auto header = request.header("If-Match");
    if (!header) return wrong();
    std::string_view text = *header;
    if (text == "*") return Precondition{};
    std::vector<int64_t> revisions;
    for (;;) {
        skip_blanks(text);
        if (!take_tag(text, revisions)) return wrong();
        skip_blanks(text);
        if (text.empty()) return Precondition{std::move(revisions)};
        if (!text.starts_with(',')) return wrong();
        text.remove_prefix(1);
    }
}

}  // namespace fetcher
