#include "processors/range_memory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "processors/crc32c.h"

namespace fetcher {
namespace {

constexpr size_t kMostBytes = 4096;
constexpr size_t kChecksumBytes = 8;
constexpr const char* kMarker = " ";

std::string errno_words() { return std::string(": ") + std::strerror(errno); }

}  // namespace

Result<std::unique_ptr<RangeMemory>> RangeMemory::open(const std::string& folder, const std::string& name) {
    if (::mkdir(folder.c_str(), 0750) != 0 && errno != EEXIST) return transient("cannot make the folder " + folder + errno_words());
    const std::string path = folder + "/" + name;
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) return transient("cannot open " + path + errno_words());
    std::unique_ptr<RangeMemory> memory(new RangeMemory(path, fd));
    memory->read();
    return memory;
}

RangeMemory::~RangeMemory() { ::close(fd_); }

// "<CRC of what follows, 8 digits> <JSON>\n"; what lies behind the newline is of longer lines before.
void RangeMemory::read() {
    std::string text(kMostBytes, '\0');
    const ssize_t n = ::pread(fd_, text.data(), text.size(), 0);
    if (n <= 0) return;
    const size_t end = text.substr(0, static_cast<size_t>(n)).find('\n');
    if (end == std::string::npos || end <= kChecksumBytes + 1) return;
    const auto body = std::string_view(text).substr(kChecksumBytes + 1, end - kChecksumBytes - 1);
    if (hex32(crc32c(body)) != text.substr(0, kChecksumBytes)) return;
    const auto json = nlohmann::json::parse(body, nullptr, false);
    if (!json.is_object() || !json.contains("ends") || !json["ends"].is_array()) return;
    try {
        last_ = {json.value("next_offset", int64_t{-1}), json.value("topic_id", ""), json["ends"].get<std::vector<int64_t>>()};
    } catch (const nlohmann::json::exception&) {
        last_ = {};
    }
}

Result<void> RangeMemory::store(RememberedRanges ranges) {
    if (ranges == last_) return {};
    FETCHER_INVARIANT(ranges.ends.size() <= kMostEnds, "the ranges of a partition fit into its memory");
    line_ = "{\"next_offset\":" + std::to_string(ranges.next_offset) + ",\"topic_id\":" + nlohmann::json(ranges.topic_id).dump() + ",\"ends\":[";
    for (const int64_t end : ranges.ends) line_.append(std::to_string(end)).push_back(',');
    if (!ranges.ends.empty()) line_.pop_back();
    line_ += "]}";
    const std::string text = hex32(crc32c(line_)) + kMarker + line_ + "\n";
    const ssize_t n = ::pwrite(fd_, text.data(), text.size(), 0);
    if (n != static_cast<ssize_t>(text.size())) return transient("cannot write " + path_ + (n < 0 ? errno_words() : ": the disk is full"));
    last_ = std::move(ranges);
    return {};
}

}  // namespace fetcher
