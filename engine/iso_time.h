// Times as people are told them: ISO-8601 in UTC with Z.
// Thread: any
#pragma once

#include <chrono>
#include <string>

namespace fetcher {

std::string iso_time(std::chrono::system_clock::time_point time);  // 2025-01-01T12:00:00.123Z
std::string iso_now();

}  // namespace fetcher
