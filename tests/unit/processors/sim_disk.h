// SimDisk: a file system in memory that keeps what is durable apart from what is merely written, and that can lose power, fail or fill up
// at any call. As unkind as POSIX allows: after a power cut any sector, size or name that was not synced may be old or new.
// Thread: any
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "processors/system_calls.h"

namespace fetcher {

class SimDisk final : public SystemCalls {
  public:
    SimDisk();

    // --- what goes wrong -------------------------------------------------------------------------------------------------------
    // From the n-th call on (counted from now, the first is 1) nothing has an effect; the n-th itself may have a part of its effect.
    void die_at_call(uint64_t n);
    // The n-th call from now fails once with this errno and has no effect.
    void fail_call(uint64_t n, int error_number);
    void set_capacity(uint64_t bytes) { capacity_bytes_ = bytes; }  // of all files together
    bool is_dead() const;
    uint64_t calls_made() const;  // since the last of the above, or restart

    // --- what comes after ------------------------------------------------------------------------------------------------------
    // The process is gone, the machine is not: everything written stays, nothing more becomes durable by that.
    void restart_process();
    // The machine is gone: of what was not synced, a random choice stays. nothing_stays: none of it.
    void restart_machine(uint32_t seed, bool nothing_stays);

    // --- looking and meddling --------------------------------------------------------------------------------------------------
    std::vector<std::string> files(const std::string& folder) const;  // names in order
    std::optional<std::string> content(const std::string& path) const;
    void put(const std::string& path, const std::string& content);  // overwrites in place, durably
    void remove(const std::string& path);
    void replace(const std::string& path, const std::string& content);  // another inode at the same name
    void advance(std::chrono::milliseconds time);
    // Called with "sync_data NAME", "append NAME", "write_at NAME", … after each call that had its effect.
    void on_event(std::function<void(const std::string&)> listener) { listener_ = std::move(listener); }

    // --- SystemCalls -----------------------------------------------------------------------------------------------------------
    int open_root(const std::string& path) override;
    int open_beneath(int folder, const std::string& path, int flags, mode_t mode) override;
    int make_folder(int folder, const std::string& name, mode_t mode) override;
    int info(int fd, FileInfo& into) override;
    ssize_t append(int fd, const char* data, size_t bytes) override;
    ssize_t write_at(int fd, const char* data, size_t bytes, uint64_t at) override;
    ssize_t read_at(int fd, char* into, size_t bytes, uint64_t at) override;
    int truncate(int fd, uint64_t bytes) override;
    int allocate(int fd, uint64_t bytes) override;
    int sync_data(int fd) override;
    int sync_all(int fd) override;
    int begin_writeback(int fd, uint64_t from, uint64_t bytes) override;
    int try_lock(int fd) override;
    int rename(int folder, const std::string& from, const std::string& to, bool replace) override;
    void close(int fd) override;
    std::chrono::steady_clock::time_point now() override;
    std::chrono::system_clock::time_point wall_now() override;

  private:
    struct Inode;
    using InodePtr = std::shared_ptr<Inode>;
    using Entries = std::map<std::string, InodePtr>;
    using NameChange = std::function<void(Entries&)>;
    struct Inode {
        uint64_t number = 0;
        bool folder = false;
        std::string current;
        std::string durable;
        std::set<size_t> dirty;  // sectors of `current` that a sync would write
        Entries entries;
        Entries durable_entries;
        std::vector<NameChange> unsynced_names;
        int locked_by = -1;
    };
    struct Descriptor {
        InodePtr inode;
        std::string name;
    };
    enum class Effect { full, partial, none, failed };

    Effect next_call();                 // what the call that now begins may do
    int refusal(Effect effect) const;   // -errno for failed and none
    InodePtr make_inode(bool folder);
    int add_descriptor(InodePtr inode, std::string name);
    InodePtr walk(InodePtr from, const std::string& path) const;
    void change_names(Inode& folder, NameChange change);
    uint64_t used_bytes() const;
    static void write_sector(Inode& inode, size_t sector);  // from current to durable
    static void resize(Inode& inode, uint64_t bytes);
    static void lose_unsynced(Inode& inode, std::mt19937& random, bool nothing_stays);
    void count_links(const Inode& folder, const Inode& target, uint64_t& links) const;
    void tell(const char* what, int fd) const;
    ssize_t store(int fd, const char* data, size_t bytes, uint64_t at, Effect effect, const char* what);

    mutable std::recursive_mutex mutex_;  // a listener may meddle
    InodePtr root_;
    uint64_t next_inode_ = 2;
    std::map<int, Descriptor> descriptors_;
    int next_fd_ = 100;
    uint64_t calls_ = 0;
    uint64_t die_at_ = 0;
    uint64_t fail_at_ = 0;
    int fail_with_ = 0;
    uint64_t capacity_bytes_ = UINT64_MAX;
    std::mt19937 random_{1};
    std::chrono::milliseconds time_{0};
    std::function<void(const std::string&)> listener_;
};

}  // namespace fetcher
