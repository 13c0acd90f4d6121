// Preloaded into a process, keeps beside a folder what a power cut would leave of it: of each file what the last fsync or fdatasync covered, of each
// folder the names that were there at its last fsync. Everything else is held back, as a disk may do that loses its cache. The process works on the
// real folder and notices nothing; harness/power_cut.py puts the folder back to what is kept here.
//
// POWER_CUT_ROOT: the folder. POWER_CUT_SHADOW: where to keep it. POWER_CUT_FORGETS: files with this ending are synced and yet lost, as by a
// disk that lies: for tests of the tests.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

constexpr off_t kSmallBytes = 64 << 10;  // files up to this are kept as a whole at each sync, others are taken to grow at their end

std::mutex mutex;
// By file: its least size since its last sync. Never destroyed: threads may outlive main().
auto& shortest = *new std::map<std::string, off_t>;

template <class Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

std::string setting(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

// Empty: not beneath the folder.
std::string path_beneath_root(int fd) {
    static const std::string root = setting("POWER_CUT_ROOT");
    char path[4096];
    const ssize_t n = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
    if (root.empty() || n <= 0) return "";
    std::string found(path, static_cast<size_t>(n));
    if (found != root && !found.starts_with(root + "/")) return "";
    return found;
}

// Tells a file from the next one that gets its inode.
std::string identity(int folder, const char* name) {
    struct statx status {};
    if (statx(folder, name, *name == '\0' ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &status) != 0) return "";
    return std::to_string(status.stx_ino) + "-" + std::to_string(status.stx_btime.tv_sec) + "." + std::to_string(status.stx_btime.tv_nsec);
}

std::string kept(const std::string& name) { return setting("POWER_CUT_SHADOW") + "/" + name; }

void keep_file(int fd, const std::string& path, off_t size) {
    const std::string forgets = setting("POWER_CUT_FORGETS");
    if (!forgets.empty() && path.ends_with(forgets)) return;
    const std::string id = identity(fd, "");
    const int from = open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY | O_CLOEXEC);
    const int to = open(kept("file-" + id).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct stat before {};
    if (from < 0 || to < 0 || fstat(to, &before) != 0) std::abort();
    off_t at = 0;
    if (size > kSmallBytes) {
        at = std::min(before.st_size, size);
        if (const auto it = shortest.find(id); it != shortest.end()) at = std::min(at, it->second);
    }
    std::vector<char> buffer(1 << 20);
    while (at < size) {
        const ssize_t n = pread(from, buffer.data(), std::min(buffer.size(), static_cast<size_t>(size - at)), at);
        if (n <= 0) break;
        if (pwrite(to, buffer.data(), static_cast<size_t>(n), at) != n) std::abort();
        at += n;
    }
    if (next<int(int, off_t)>("ftruncate")(to, size) != 0) std::abort();
    shortest.erase(id);
    close(from);
    close(to);
}

void keep_names(int fd, const std::string& path) {
    DIR* folder = opendir(path.c_str());
    if (!folder) return;
    std::string lines = path + "\n";
    while (const dirent* entry = readdir(folder)) {
        if (entry->d_type == DT_REG) lines += identity(dirfd(folder), entry->d_name) + " " + entry->d_name + "\n";
    }
    closedir(folder);
    const std::string name = kept("folder-" + identity(fd, ""));
    const int to = open((name + ".new").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to < 0 || write(to, lines.data(), lines.size()) != static_cast<ssize_t>(lines.size())) std::abort();
    close(to);
    if (std::rename((name + ".new").c_str(), name.c_str()) != 0) std::abort();
}

int sync_and_keep(const char* call, int fd) {
    const std::string path = path_beneath_root(fd);
    struct stat status {};
    if (path.empty() || fstat(fd, &status) != 0) return next<int(int)>(call)(fd);
    const std::lock_guard lock(mutex);
    const int result = next<int(int)>(call)(fd);
    if (result != 0) return result;
    if (S_ISDIR(status.st_mode)) keep_names(fd, path);
    else keep_file(fd, path, status.st_size);
    return result;
}

}  // namespace

extern "C" {

int fsync(int fd) { return sync_and_keep("fsync", fd); }
int fdatasync(int fd) { return sync_and_keep("fdatasync", fd); }

int ftruncate(int fd, off_t size) noexcept {
    const int result = next<int(int, off_t)>("ftruncate")(fd, size);
    if (result != 0 || path_beneath_root(fd).empty()) return result;
    const std::lock_guard lock(mutex);
    const auto [it, added] = shortest.try_emplace(identity(fd, ""), size);
    if (!added) it->second = std::min(it->second, size);
    return result;
}

}  // extern "C"
