// The name that a finished file gets: "payments.log" becomes "payments.20260102T030405Z-000007.log". The extension stays at the end, so
// that whatever is set to read "*.log" or "*.log.zst" finds it.
// Thread: any
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace fetcher {

// number: tells apart what was finished within one second, or after a clock went back.
std::string rotated_name(const std::string& file, std::chrono::system_clock::time_point now, uint64_t number);

}  // namespace fetcher
