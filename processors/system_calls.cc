#include "processors/system_calls.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace fetcher {
namespace {

// Repeats an interrupted call; -errno for any other failure.
template <class Call>
auto uninterrupted(Call&& call) -> decltype(call()) {
    for (;;) {
        const auto result = call();
        if (result >= 0) return result;
        if (errno != EINTR) return -errno;
    }
}

class KernelCalls : public SystemCalls {
  public:
    int open_root(const std::string& path) override {
        return uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    }

    int open_beneath(int folder, const std::string& path, int flags, mode_t mode) override {
        open_how how{};
        how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
        how.mode = (flags & O_CREAT) != 0 ? mode : 0;
        how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
        constexpr int kAttempts = 16;  // EAGAIN: a component was being renamed meanwhile
        for (int attempt = 1;; attempt++) {
            const long fd = ::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how);
            if (fd >= 0) return static_cast<int>(fd);
            if (errno != EINTR && (errno != EAGAIN || attempt >= kAttempts)) return -errno;
        }
    }

    int make_folder(int folder, const std::string& name, mode_t mode) override {
        return uninterrupted([&] { return ::mkdirat(folder, name.c_str(), mode); });
    }

    int info(int fd, FileInfo& into) override {
        struct stat status {};
        const int result = uninterrupted([&] { return ::fstat(fd, &status); });
        if (result < 0) return result;
        into.inode = status.st_ino;
        into.size_bytes = static_cast<uint64_t>(status.st_size);
        into.links = status.st_nlink;
        into.regular = S_ISREG(status.st_mode);
        return 0;
    }

    ssize_t append(int fd, const char* data, size_t bytes) override {
        return uninterrupted([&] { return ::write(fd, data, bytes); });
    }
    ssize_t write_at(int fd, const char* data, size_t bytes, uint64_t at) override {
        return uninterrupted([&] { return ::pwrite(fd, data, bytes, static_cast<off_t>(at)); });
    }
    ssize_t read_at(int fd, char* into, size_t bytes, uint64_t at) override {
        return uninterrupted([&] { return ::pread(fd, into, bytes, static_cast<off_t>(at)); });
    }
    int truncate(int fd, uint64_t bytes) override {
        return uninterrupted([&] { return ::ftruncate(fd, static_cast<off_t>(bytes)); });
    }
    int allocate(int fd, uint64_t bytes) override {
        for (;;) {
            const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
            if (error != EINTR) return -error;
        }
    }
    int sync_data(int fd) override { return uninterrupted([&] { return ::fdatasync(fd); }); }
    int sync_all(int fd) override {
        const int result = uninterrupted([&] { return ::fsync(fd); });
        return result == -EINVAL ? 0 : result;  // a file system whose folders cannot be synced has nothing to sync
    }
    int begin_writeback(int fd, uint64_t from, uint64_t bytes) override {
        return uninterrupted([&] {
            return ::sync_file_range(fd, static_cast<off_t>(from), static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE);
        });
    }
    int try_lock(int fd) override { return uninterrupted([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }); }

    int rename(int folder, const std::string& from, const std::string& to, bool replace) override {
        const unsigned flags = replace ? 0 : RENAME_NOREPLACE;
        const int result = uninterrupted([&] { return ::renameat2(folder, from.c_str(), folder, to.c_str(), flags); });
        if (replace || (result != -EINVAL && result != -ENOSYS)) return result;
        // A file system without RENAME_NOREPLACE (NFS): callers have looked that nothing is there, and hold the lock.
        return uninterrupted([&] { return ::renameat(folder, from.c_str(), folder, to.c_str()); });
    }
    void close(int fd) override { ::close(fd); }

    std::chrono::steady_clock::time_point now() override { return std::chrono::steady_clock::now(); }
    std::chrono::system_clock::time_point wall_now() override { return std::chrono::system_clock::now(); }
};

}  // namespace

SystemCalls& kernel_calls() {
    static KernelCalls calls;
    return calls;
}

}  // namespace fetcher
