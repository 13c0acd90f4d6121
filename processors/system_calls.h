// SystemCalls: everything the file sink asks of the kernel, once per call and never per record, so that tests can put a simulated disk
// in its place that loses power, fills up or fails at any step.
//
// Each function returns what the call of that name does, or -errno. Interrupted calls are repeated.
// Thread: any
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace fetcher {

struct FileInfo {
    uint64_t inode = 0;
    uint64_t size_bytes = 0;
    uint64_t links = 0;
    bool regular = false;
};

class SystemCalls {
  public:
    virtual ~SystemCalls() = default;

    // A folder by its absolute path, symbolic links followed: the operator chose it.
    virtual int open_root(const std::string& path) = 0;
    // `path` beneath the folder; never leaves it and follows no symbolic link (openat2). ELOOP: a link was met, EXDEV: it led outside.
    virtual int open_beneath(int folder, const std::string& path, int flags, mode_t mode) = 0;
    virtual int make_folder(int folder, const std::string& name, mode_t mode) = 0;
    virtual int info(int fd, FileInfo& into) = 0;
    virtual ssize_t append(int fd, const char* data, size_t bytes) = 0;  // write on a file opened with O_APPEND
    virtual ssize_t write_at(int fd, const char* data, size_t bytes, uint64_t at) = 0;
    virtual ssize_t read_at(int fd, char* into, size_t bytes, uint64_t at) = 0;
    virtual int truncate(int fd, uint64_t bytes) = 0;
    virtual int allocate(int fd, uint64_t bytes) = 0;
    virtual int sync_data(int fd) = 0;                                              // fdatasync
    virtual int sync_all(int fd) = 0;                                               // fsync, for folders
    virtual int begin_writeback(int fd, uint64_t from, uint64_t bytes) = 0;         // a hint; makes nothing durable
    virtual int try_lock(int fd) = 0;                                               // flock, exclusive; EWOULDBLOCK
    virtual int rename(int folder, const std::string& from, const std::string& to, bool replace) = 0;
    virtual void close(int fd) = 0;

    virtual std::chrono::steady_clock::time_point now() = 0;
    virtual std::chrono::system_clock::time_point wall_now() = 0;
};

// The kernel itself.
SystemCalls& kernel_calls();

// Owns a descriptor. Moves, never copies.
class FileHandle {
  public:
    FileHandle() = default;
    FileHandle(SystemCalls& calls, int fd) : calls_(&calls), fd_(fd) {}
    FileHandle(FileHandle&& other) noexcept : calls_(other.calls_), fd_(std::exchange(other.fd_, -1)) {}
    FileHandle& operator=(FileHandle&& other) noexcept {
        if (this != &other) {
            reset();
            calls_ = other.calls_;
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~FileHandle() { reset(); }

    int fd() const { return fd_; }
    bool is_open() const { return fd_ >= 0; }
    void reset() {
        if (fd_ >= 0) calls_->close(std::exchange(fd_, -1));
    }

  private:
    SystemCalls* calls_ = nullptr;
    int fd_ = -1;
};

}  // namespace fetcher
