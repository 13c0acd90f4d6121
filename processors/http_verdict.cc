#include "processors/http_verdict.h"

#include <algorithm>
#include <charconv>
#include <ctime>

namespace fetcher {

using std::chrono::milliseconds;

Verdict verdict_of(int status) {
    if (status >= 200 && status < 300) return Verdict::delivered;
    switch (status) {
        case 408:
        case 425:
        case 429: return Verdict::retry;
        case 401:
        case 407:
        case 501: return Verdict::endpoint;
        default: break;
    }
    if (status >= 300 && status < 400) return Verdict::endpoint;
    if (status >= 400 && status < 500) return Verdict::bad_record;
    return Verdict::retry;
}

bool asks_for_less(int status) { return status == 429 || status == 503; }

std::optional<milliseconds> parse_retry_after(const std::string& text, std::chrono::system_clock::time_point now) {
    const size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string::npos) return std::nullopt;
    const size_t end = text.find_last_not_of(" \t") + 1;
    int64_t seconds = 0;
    const auto [at, error] = std::from_chars(text.data() + begin, text.data() + end, seconds);
    if (at == text.data() + end && error == std::errc{} && seconds >= 0) {
        return std::min<milliseconds>(kLongestRetryAfter, std::chrono::seconds(std::min<int64_t>(seconds, 86'400)));
    }
    if (at == text.data() + end && error == std::errc::result_out_of_range) return kLongestRetryAfter;
    std::tm date{};
    const char* const rest = strptime(text.c_str() + begin, "%a, %d %b %Y %H:%M:%S GMT", &date);
    if (rest == nullptr || rest != text.data() + end) return std::nullopt;
    const auto then = std::chrono::system_clock::from_time_t(timegm(&date));
    if (then <= now) return milliseconds(0);
    if (then - now > kLongestRetryAfter) return kLongestRetryAfter;
    return std::chrono::duration_cast<milliseconds>(then - now);
}

}  // namespace fetcher
