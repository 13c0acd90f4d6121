#include "processors/sink_folder.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "processors/file_errors.h"

namespace fetcher {
namespace {

constexpr mode_t kFolderMode = 0750;
constexpr mode_t kFileMode = 0640;

tl::unexpected<Error> failure(int result, const std::string& what) {
    return tl::unexpected<Error>(file_error(-result, what));
}

// Opens, or makes, one folder in `parent`, and makes its name durable.
Result<FileHandle> enter(SystemCalls& calls, int parent, const std::string& name, const std::string& path) {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY;
    int fd = calls.open_beneath(parent, name, kFlags, 0);
    if (fd == -ENOENT) {
        const int made = calls.make_folder(parent, name, kFolderMode);
        if (made < 0 && made != -EEXIST) return failure(made, "make folder " + path);
        fd = calls.open_beneath(parent, name, kFlags, 0);
    }
    if (fd < 0) return failure(fd, "open folder " + path);
    FileHandle handle(calls, fd);
    // Also when it was there: a process that was killed may have made it and not come to this line.
    if (const int synced = calls.sync_all(parent); synced < 0) return failure(synced, "sync the folder above " + path);
    return handle;
}

}  // namespace

SinkFolder::SinkFolder(SystemCalls& calls, RootedPath path, FileHandle root, FileHandle folder)
    : calls_(&calls), path_(std::move(path)), root_(std::move(root)), folder_(std::move(folder)) {}

Result<SinkFolder> SinkFolder::open(SystemCalls& calls, const RootedPath& path) {
    const int root_fd = calls.open_root(path.root);
    if (root_fd < 0) return failure(root_fd, "open " + path.root + ", a folder of FILE_SINK_ROOTS");
    FileHandle root(calls, root_fd);
    FileHandle folder;
    std::string so_far = path.root;
    for (const auto& name : path.folders) {
        so_far.append("/").append(name);
        auto next = enter(calls, folder.is_open() ? folder.fd() : root.fd(), name, so_far);
        if (!next) return tl::unexpected<Error>(std::move(next.error()));
        folder = std::move(*next);
    }
    return SinkFolder(calls, path, std::move(root), std::move(folder));
}

std::optional<std::string> SinkFolder::obstacle(SystemCalls& calls, const RootedPath& path) {
    const int root_fd = calls.open_root(path.root);
    if (root_fd < 0) return std::nullopt;
    FileHandle folder(calls, root_fd);
    RootedPath so_far{path.root, {}, {}};
    for (const auto& name : path.folders) {
        so_far.file = name;
        const int fd = calls.open_beneath(folder.fd(), name, O_PATH | O_DIRECTORY, 0);
        if (fd == -ELOOP || fd == -EXDEV || fd == -ENOTDIR) return file_error(-fd, "open folder " + so_far.absolute()).reason;
        if (fd < 0) return std::nullopt;  // missing, or something that may pass
        folder = FileHandle(calls, fd);
        so_far.folders.push_back(name);
    }
    const int fd = calls.open_beneath(folder.fd(), path.file, O_PATH, 0);
    if (fd == -ELOOP || fd == -EXDEV) return file_error(-fd, "open " + path.absolute()).reason;
    if (fd < 0) return std::nullopt;
    const FileHandle file(calls, fd);
    FileInfo info;
    if (calls.info(fd, info) < 0 || info.regular) return std::nullopt;
    return path.absolute() + " is not a regular file; choose another file_path or move it away";
}

std::string SinkFolder::absolute(const std::string& name) const {
    RootedPath other = path_;
    other.file = name;
    return other.absolute();
}

Result<std::optional<FileInfo>> SinkFolder::info_of(int folder, const std::string& name) const {
    const int fd = calls_->open_beneath(folder, name, O_PATH | O_NOFOLLOW, 0);
    if (fd == -ENOENT || fd == -ENOTDIR) return std::nullopt;
    if (fd < 0) return failure(fd, "look at " + absolute(path_.file));
    const FileHandle handle(*calls_, fd);
    FileInfo info;
    if (const int result = calls_->info(fd, info); result < 0) return failure(result, "look at " + absolute(path_.file));
    return info;
}

Result<std::optional<FileInfo>> SinkFolder::find(const std::string& name) const { return info_of(fd(), name); }

Result<std::optional<FileInfo>> SinkFolder::find_from_root(const std::string& name) const {
    RootedPath other = path_;
    other.file = name;
    return info_of(root_.fd(), other.relative());
}

Result<std::optional<FileHandle>> SinkFolder::open_file(const std::string& name, int flags) const {
    // O_NONBLOCK: a FIFO in the file's place must not make us wait for its reader.
    const int fd = calls_->open_beneath(this->fd(), name, flags | O_NONBLOCK | O_NOCTTY, kFileMode);
    if (fd == -ENOENT && (flags & O_CREAT) == 0) return std::nullopt;
    if (fd < 0) return failure(fd, "open " + absolute(name));
    FileHandle handle(*calls_, fd);
    FileInfo info;
    if (const int result = calls_->info(fd, info); result < 0) return failure(result, "look at " + absolute(name));
    if (!info.regular) return fatal(absolute(name) + " is not a regular file; choose another file_path or move it away");
    return handle;
}

Result<void> SinkFolder::rename(const std::string& from, const std::string& to, bool replace) const {
    const int result = calls_->rename(fd(), from, to, replace);
    if (result < 0) return failure(result, "rename " + absolute(from) + " to " + to);
    return {};
}

Result<void> SinkFolder::sync() const {
    if (const int result = calls_->sync_all(fd()); result < 0) return failure(result, "sync the folder of " + path_.absolute());
    return {};
}

}  // namespace fetcher
