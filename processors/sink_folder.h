// SinkFolder: the folder of a sink's file, reached beneath its root without a symbolic link, made where it is missing.
// Thread: worker opens it; obstacle() any; find() and sync() any
#pragma once

#include <optional>

#include "engine/result.h"
#include "processors/path_template.h"
#include "processors/system_calls.h"

namespace fetcher {

class SinkFolder {
  public:
    // Makes missing folders (mode 0750). Every folder on the way is durable when this returns, also one that a killed process made.
    static Result<SinkFolder> open(SystemCalls& calls, const RootedPath& path);

    // Why `path` could not be opened for what is there now: a symbolic link, or something else in a folder's or the file's place. nullopt:
    // nothing speaks against it, yet. Changes nothing.
    static std::optional<std::string> obstacle(SystemCalls& calls, const RootedPath& path);

    // Of a name in this folder. nullopt: there is nothing.
    Result<std::optional<FileInfo>> find(const std::string& name) const;
    // The same from the root on, so that a moved folder is noticed.
    Result<std::optional<FileInfo>> find_from_root(const std::string& name) const;

    // A regular file of this folder; nullopt if it is missing (and flags do not make it). Mode 0640.
    Result<std::optional<FileHandle>> open_file(const std::string& name, int flags) const;

    Result<void> rename(const std::string& from, const std::string& to, bool replace) const;
    Result<void> sync() const;  // makes new names durable

    SystemCalls& calls() const { return *calls_; }
    const RootedPath& path() const { return path_; }
    std::string absolute(const std::string& name) const;

  private:
    SinkFolder(SystemCalls& calls, RootedPath path, FileHandle root, FileHandle folder);
    Result<std::optional<FileInfo>> info_of(int folder, const std::string& name) const;

    SystemCalls* calls_;
    RootedPath path_;
    FileHandle root_;
    FileHandle folder_;  // not open: it is the root
    int fd() const { return folder_.is_open() ? folder_.fd() : root_.fd(); }
};

}  // namespace fetcher
