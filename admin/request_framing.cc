#include "admin/request_framing.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "admin/http_types.h"

namespace fetcher {

namespace {

bool is_token(std::string_view text) {
    constexpr std::string_view kAlso = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kAlso.find(c) != std::string_view::npos;
    });
}

bool is_value(std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return c == '\t' || (c >= ' ' && c != 127) || static_cast<unsigned char>(c) >= 128; });
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

Answer<void> parse_request_line(std::string_view line, RequestFrame& frame) {
    constexpr std::array kMethods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    const auto first = line.find(' ');
    const auto last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) return problem(400, "The request line is malformed.");
    const auto method = line.substr(0, first);
    const auto target = line.substr(first + 1, last - first - 1);
    const auto version = line.substr(last + 1);
    if (!is_token(method)) return problem(400, "The request line is malformed.");
    if (version != "HTTP/1.1" && version != "HTTP/1.0")
        return problem(version.starts_with("HTTP/") ? 505 : 400, "HTTP/1.1 is spoken here.");
    if (std::find(kMethods.begin(), kMethods.end(), method) == kMethods.end()) return problem(501, "The method is not known.");
    if (!target.starts_with('/') || !std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 127; }))
        return problem(400, "The request target must be a path.");
    frame.path = target.substr(0, target.find_first_of("?#"));
    frame.needs_length = method == "POST" || method == "PUT" || method == "PATCH";
    return {};
}

// What the headers say of the body.
struct BodyHeaders {
    size_t lengths = 0, hosts = 0;
    std::string_view length;
    bool transfer_encoding = false, content_encoding = false;
    std::string_view expect;
};

Answer<void> parse_header(std::string_view line, BodyHeaders& seen) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return problem(400, "A header line is malformed.");
    const auto name = line.substr(0, colon);
    const auto value = trimmed(line.substr(colon + 1));
    if (!is_value(value)) return problem(400, "A header value contains control characters.");
    if (equals_ignoring_case(name, "Content-Length")) ++seen.lengths, seen.length = value;
    if (equals_ignoring_case(name, "Host")) ++seen.hosts;
    if (equals_ignoring_case(name, "Transfer-Encoding")) seen.transfer_encoding = true;
    if (equals_ignoring_case(name, "Content-Encoding")) seen.content_encoding = true;
    if (equals_ignoring_case(name, "Expect")) seen.expect = value;
    return {};
}

Answer<void> judge_body(const BodyHeaders& seen, RequestFrame& frame) {
    if (seen.hosts > 1) return problem(400, "There is more than one Host header.");
    if (seen.lengths > 1) return problem(400, "There is more than one Content-Length header.");
    if (seen.transfer_encoding && seen.lengths > 0) return problem(400, "Content-Length and Transfer-Encoding exclude each other.");
    if (seen.transfer_encoding) return problem(411, "Transfer-Encoding is not accepted; send the body with a Content-Length.");
    if (seen.content_encoding) return problem(415, "Content-Encoding is not accepted; send the body as it is.");
    if (!seen.expect.empty()) {
        if (!equals_ignoring_case(seen.expect, "100-continue")) return problem(417, "This expectation cannot be met.");
        frame.expects_continue = true;
    }
    if (seen.lengths == 0) return {};
    frame.has_length = true;
    const bool digits =
        !seen.length.empty() && std::all_of(seen.length.begin(), seen.length.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) return problem(400, "The Content-Length is not a number.");
    const auto [end, code] = std::from_chars(seen.length.data(), seen.length.data() + seen.length.size(), frame.body_bytes);
    if (code != std::errc() || frame.body_bytes > kMaxBodyBytes) return problem(413, "The body is larger than 1 MiB.");
    return {};
}

}  // namespace

Answer<std::optional<RequestFrame>> parse_frame(std::string_view received) {
    const auto end = received.substr(0, kMaxHeadBytes).find("\r\n\r\n");
    const auto head = received.substr(0, end == std::string_view::npos ? std::min(received.size(), kMaxHeadBytes) : end + 2);
    RequestFrame frame;
    BodyHeaders seen;
    size_t lines = 0;
    for (size_t begin = 0; begin < head.size(); ++lines) {
        const auto feed = head.find('\n', begin);
        const auto line_end = std::min(feed, head.size());
        if (line_end - begin > kMaxLineBytes) return problem(lines == 0 ? 414 : 431, "A line of the request's head is longer than 8 KiB.");
        if (feed == std::string_view::npos) break;
        if (feed == begin || head[feed - 1] != '\r') return problem(400, "A line of the request's head does not end in CR LF.");
        const auto line = head.substr(begin, feed - 1 - begin);
        if (lines > kMaxHeaders) return problem(431, "There are more than 64 headers.");
        const auto judged = lines == 0 ? parse_request_line(line, frame) : parse_header(line, seen);
        if (!judged) return tl::unexpected<Problem>(judged.error());
        begin = feed + 1;
    }
    if (end == std::string_view::npos) {
        if (received.size() >= kMaxHeadBytes) return problem(431, "The request's head is larger than 32 KiB.");
        return std::nullopt;
    }
    frame.head_bytes = end + 4;
    if (const auto judged = judge_body(seen, frame); !judged) return tl::unexpected<Problem>(judged.error());
    return frame;
}

}  // namespace fetcher
