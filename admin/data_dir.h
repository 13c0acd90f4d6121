// DataDir: the folder where the process keeps its state. One process at a time: a second one on the same folder is refused.
// Thread: main
#pragma once

#include <memory>
#include <string>

#include "engine/result.h"

namespace fetcher {

class DataDir {
  public:
    // Makes the folder if it is missing (mode 0700) and takes its lock.
    static Result<std::unique_ptr<DataDir>> open(const std::string& path);
    ~DataDir();  // gives the lock back
    DataDir(const DataDir&) = delete;
    DataDir& operator=(const DataDir&) = delete;

    const std::string& path() const { return path_; }  // absolute
    // The process's own file of that name. Every one of them begins with "kafka-fetcher.", which no sink's path may contain: DATA_DIR is
    // a place for sinks as well.
    std::string file(const std::string& name) const { return path_of(path_, name); }

    // The name of this process among its replicas: made once, kept in the folder. Static group membership hangs on it, so that
    // a restart takes its partitions back at once.
    Result<std::string> instance_id() const;

    // Removes everything but the lock: for a demo that starts anew.
    Result<void> clear() const;

  private:
    static std::string path_of(const std::string& folder, const std::string& name) { return folder + "/kafka-fetcher." + name; }
    DataDir(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}

    std::string path_;
    int lock_fd_;
};

}  // namespace fetcher
