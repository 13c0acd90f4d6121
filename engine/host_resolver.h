// Names to addresses, with a deadline: the C library's resolver has none, and libpq would call it while an API handler waits; a sender that is to stop would wait for it too.
// Thread: any
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "engine/result.h"

namespace fetcher {

// Begins a thread that is left to itself; throws std::system_error where there can be none.
using ThreadStarter = std::function<void(std::function<void()>)>;
void start_detached(std::function<void()> work);

// Numeric addresses, in the order in which they are to be tried; an address stands for itself. The question is asked on a thread of its own,
// which is left behind if the answer does not come in time; those who ask for the same name meanwhile wait for that same answer.
Result<std::vector<std::string>> resolve_host(const std::string& host, std::chrono::steady_clock::time_point deadline,
                                              const ThreadStarter& start = start_detached);

// When to give up on the first of `left` addresses or hosts, so that a black hole leaves time for those behind it.
inline std::chrono::steady_clock::time_point share_of(std::chrono::steady_clock::time_point deadline, int64_t left) {
    const auto now = std::chrono::steady_clock::now();
    return now + (deadline - now) / left;
}

}  // namespace fetcher
