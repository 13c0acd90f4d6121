// What an answer's status means for the records of its request.
// Thread: any
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace fetcher {

enum class Verdict {
    delivered,   // 2xx
    retry,       // 408, 425, 429 and 5xx but 501: the same request may succeed later
    bad_record,  // other 4xx: because of what is in it
    endpoint,    // redirects, 401, 407, 501: no request of ours can succeed until a person mends something
};

Verdict verdict_of(int status);

// 429 and 503: fewer requests at once.
bool asks_for_less(int status);

constexpr std::chrono::minutes kLongestRetryAfter{5};

// The value of Retry-After, in seconds or as a date, at most kLongestRetryAfter; nullopt where there is none or it says nothing usable.
std::optional<std::chrono::milliseconds> parse_retry_after(const std::string& text, std::chrono::system_clock::time_point now);

}  // namespace fetcher
