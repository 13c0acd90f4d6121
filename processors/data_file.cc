#include "processors/data_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "processors/crc32c.h"
#include "processors/file_errors.h"

namespace fetcher {
namespace {

constexpr int kFlags = O_RDWR | O_APPEND;
constexpr uint32_t kTailBytes = 4096;
// Writing begins early and in large pieces, so that a sync finds little left to do.
constexpr uint64_t kPushBytes = uint64_t{8} << 20;
constexpr size_t kKeptCapacityBytes = size_t{1} << 20;
constexpr const char* kRemedy =
    "Nothing beyond the last checkpoint was acknowledged. Put the file back, or move its .checkpoint file away: the consumer then "
    "starts a new file at its group's committed offset";

}  // namespace

Error DataFile::error(int result, const char* doing) const { return file_error(-result, std::string(doing) + " " + path()); }

Result<std::optional<DataFile>> DataFile::open_with(const SinkFolder& folder, int flags) {
    auto handle = folder.open_file(folder.path().file, flags);
    if (!handle) return tl::unexpected<Error>(handle.error());
    if (!*handle) return std::nullopt;
    DataFile file(folder, std::move(**handle));
    if (auto loaded = file.load_info(); !loaded) return tl::unexpected<Error>(loaded.error());
    return file;
}

Result<std::optional<DataFile>> DataFile::find(const SinkFolder& folder) { return open_with(folder, kFlags); }

Result<DataFile> DataFile::open(const SinkFolder& folder) {
    auto file = open_with(folder, kFlags | O_CREAT);
    if (!file) return tl::unexpected<Error>(file.error());
    return std::move(**file);
}

Result<void> DataFile::load_info() {
    FileInfo info;
    if (const int result = folder_->calls().info(handle_.fd(), info); result < 0) {
        return tl::unexpected<Error>(error(result, "look at"));
    }
    inode_ = info.inode;
    written_bytes_ = pushed_bytes_ = info.size_bytes;
    return {};
}

Result<void> DataFile::append(std::string_view bytes) {
    while (!bytes.empty() && leftover_.empty()) {
        const ssize_t n = folder_->calls().append(handle_.fd(), bytes.data(), bytes.size());
        if (n < 0 && !is_disk_full(static_cast<int>(-n))) return tl::unexpected<Error>(error(static_cast<int>(n), "write"));
        if (n <= 0) break;
        written_bytes_ += static_cast<uint64_t>(n);
        bytes.remove_prefix(static_cast<size_t>(n));
    }
    leftover_.append(bytes);
    push_out();
    return {};
}

Result<void> DataFile::settle() {
    while (!leftover_.empty()) {
        const ssize_t n = folder_->calls().append(handle_.fd(), leftover_.view().data(), leftover_.size());
        if (n <= 0) return tl::unexpected<Error>(error(n < 0 ? static_cast<int>(n) : -ENOSPC, "write"));
        written_bytes_ += static_cast<uint64_t>(n);
        leftover_.consume(static_cast<size_t>(n));
    }
    leftover_.shrink(kKeptCapacityBytes);
    return {};
}

void DataFile::push_out() {
    if (written_bytes_ - pushed_bytes_ < kPushBytes) return;
    folder_->calls().begin_writeback(handle_.fd(), pushed_bytes_, written_bytes_ - pushed_bytes_);
    pushed_bytes_ = written_bytes_;
}

Result<void> DataFile::check_size() const {
    FileInfo info;
    if (const int result = folder_->calls().info(handle_.fd(), info); result < 0) {
        return tl::unexpected<Error>(error(result, "look at"));
    }
    if (info.size_bytes == written_bytes_) return {};
    return fatal(path() + " is " + std::to_string(info.size_bytes) + " bytes long where " + std::to_string(written_bytes_) +
                 " were expected: it was truncated, or somebody else writes to it. " + kRemedy);
}

Result<void> DataFile::cut(uint64_t length) {
    if (const int result = folder_->calls().truncate(handle_.fd(), length); result < 0) {
        return tl::unexpected<Error>(error(result, "cut"));
    }
    written_bytes_ = pushed_bytes_ = length;
    if (const int result = folder_->calls().sync_data(handle_.fd()); result < 0) {
        return tl::unexpected<Error>(error(result, "sync"));
    }
    return {};
}

Result<void> DataFile::check_in_place(uint64_t length) const {
    FileInfo info;
    if (const int result = folder_->calls().info(handle_.fd(), info); result < 0) {
        return tl::unexpected<Error>(error(result, "look at"));
    }
    if (info.links == 0) return fatal(path() + " was deleted while it was being written. " + kRemedy);
    if (info.size_bytes < length) return fatal(path() + " was truncated while it was being written. " + kRemedy);
    const auto at_path = folder_->find_from_root(folder_->path().file);
    if (!at_path) return tl::unexpected<Error>(at_path.error());
    if (!*at_path || (*at_path)->inode != inode_) {
        return fatal(path() + " was moved or replaced while it was being written. " + kRemedy);
    }
    return {};
}

Result<FileTail> DataFile::make_durable(uint64_t length) const {
    if (const int result = folder_->calls().sync_data(handle_.fd()); result < 0) {
        return tl::unexpected<Error>(error(result, "sync"));
    }
    if (auto in_place = check_in_place(length); !in_place) return tl::unexpected<Error>(in_place.error());
    return tail(length);
}

Result<FileTail> DataFile::tail(uint64_t length) const {
    FileTail result;
    result.bytes = static_cast<uint32_t>(std::min<uint64_t>(length, kTailBytes));
    const auto bytes = read(result.bytes, length - result.bytes);
    if (!bytes) return tl::unexpected<Error>(bytes.error());
    if (bytes->size() != result.bytes) return fatal(path() + " was truncated while it was being written. " + kRemedy);
    result.crc = crc32c(*bytes);
    return result;
}

Result<std::string> DataFile::read(size_t bytes, uint64_t at) const {
    std::string text(bytes, '\0');
    size_t done = 0;
    while (done < bytes) {
        const ssize_t n = folder_->calls().read_at(handle_.fd(), text.data() + done, bytes - done, at + done);
        if (n < 0) return tl::unexpected<Error>(error(static_cast<int>(n), "read"));
        if (n == 0) break;
        done += static_cast<size_t>(n);
    }
    text.resize(done);
    return text;
}

}  // namespace fetcher
