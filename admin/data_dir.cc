#include "admin/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "admin/setting_values.h"
#include "admin/uuid.h"

namespace fetcher {

namespace fs = std::filesystem;

namespace {

constexpr const char* kLock = "lock";

tl::unexpected<Error> failed(const std::string& what, const std::string& path) {
    return fatal("DATA_DIR: cannot " + what + " " + path + ": " + std::strerror(errno));
}

// Written aside and renamed, so that a crash leaves the whole text or none.
bool write_durably(const std::string& path, const std::string& text) {
    const auto aside = path + ".new";
    const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
    return ::close(fd) == 0 && written && ::rename(aside.c_str(), path.c_str()) == 0;
}

}  // namespace

Result<std::unique_ptr<DataDir>> DataDir::open(const std::string& path) {
    const auto absolute = fs::absolute(path).lexically_normal().string();
    std::error_code error;
    if (!fs::exists(absolute, error)) {
        fs::create_directories(absolute, error);
        if (error) return fatal("DATA_DIR: cannot make " + absolute + ": " + error.message());
        ::chmod(absolute.c_str(), 0700);
    }
    const auto lock = path_of(absolute, kLock);
    const int fd = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return failed("open", lock);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ::close(fd);
        return fatal("DATA_DIR " + absolute + " is in use by another kafka-fetcher; stop it or give this one a folder of its own");
    }
    return std::unique_ptr<DataDir>(new DataDir(absolute, fd));
}

DataDir::~DataDir() { ::close(lock_fd_); }

Result<std::string> DataDir::instance_id() const {
    const auto path = file("instance_id");
    if (std::ifstream stored(path); stored) {
        std::string id;
        std::getline(stored, id);
        if (!parse_instance_id(id)) return fatal("DATA_DIR: " + path + " is damaged; remove it to get a new instance id");
        return id;
    }
    const auto id = new_uuid();
    if (!write_durably(path, id + "\n")) return failed("write", path);
    return id;
}

Result<void> DataDir::clear() const {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(path_, error)) {
        if (entry.path() == file(kLock)) continue;
        fs::remove_all(entry.path(), error);
        if (error) break;
    }
    if (error) return fatal("DATA_DIR: cannot empty " + path_ + ": " + error.message());
    return {};
}

}  // namespace fetcher
