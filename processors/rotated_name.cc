#include "processors/rotated_name.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace fetcher {
namespace {

// Where the extension begins: at the last dot that is not the first character, or at the one before it for ".log.zst".
size_t extension_begin(const std::string& file) {
    size_t dot = file.rfind('.');
    if (dot == std::string::npos || dot == 0) return file.size();
    if (file.substr(dot) == ".zst") {
        const size_t inner = file.rfind('.', dot - 1);
        if (inner != std::string::npos && inner != 0) dot = inner;
    }
    return dot;
}

}  // namespace

std::string rotated_name(const std::string& file, std::chrono::system_clock::time_point now, uint64_t number) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    std::array<char, 64> text{};
    const size_t length = std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &utc);
    std::array<char, 32> digits{};
    std::snprintf(digits.data(), digits.size(), "-%06llu", static_cast<unsigned long long>(number));
    const size_t dot = extension_begin(file);
    return file.substr(0, dot) + "." + std::string(text.data(), length) + digits.data() + file.substr(dot);
}

}  // namespace fetcher
