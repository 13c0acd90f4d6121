#include "processors/checkpoint_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "processors/file_errors.h"

namespace fetcher {
namespace {

constexpr size_t kOwnerBytes = 4096;
constexpr size_t kMaxSlotBytes = size_t{64} << 20;
constexpr const char* kRemedy =
    "Restore it, or move it and the data file away: the consumer then starts a new file at its group's committed offset";

std::string new_name_for(const std::string& file) { return CheckpointFile::name_for(file) + ".new"; }

std::string owner_block(const SinkOwner& owner) {
    nlohmann::ordered_json json;
    json["what"] = "kafka-fetcher checkpoint: do not edit or delete while the file beside it is in use";
    json["owner"] = {{"pid", owner.pid}, {"instance", owner.instance}, {"consumer_id", owner.consumer_id}};
    auto block = json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
    block.resize(kOwnerBytes - 1, ' ');
    block.push_back('\n');
    return block;
}

Result<std::string> read_at(SystemCalls& calls, int fd, size_t bytes, uint64_t at, const std::string& path) {
    std::string text(bytes, '\0');
    size_t done = 0;
    while (done < bytes) {
        const ssize_t n = calls.read_at(fd, text.data() + done, bytes - done, at + done);
        if (n < 0) return tl::unexpected<Error>(file_error(static_cast<int>(-n), "read " + path));
        if (n == 0) break;
        done += static_cast<size_t>(n);
    }
    text.resize(done);
    return text;
}

// Whom the lock's holder says it is; "" if that cannot be read.
std::string holder(SystemCalls& calls, int fd, const std::string& path) {
    const auto block = read_at(calls, fd, kOwnerBytes, 0, path);
    const auto json = nlohmann::json::parse(block ? *block : std::string(), nullptr, false);
    if (!json.is_object() || !json.contains("owner") || !json["owner"].is_object()) return {};
    const auto& owner = json["owner"];
    const auto field = [&](const char* name) { return owner.contains(name) ? owner[name].dump(-1, ' ', true) : "?"; };
    return " (pid " + field("pid") + ", instance " + field("instance") + ", consumer " + field("consumer_id") + ")";
}

// Opens and locks `name`, being sure that it is still the file at that name. nullopt: missing.
Result<std::optional<FileHandle>> open_locked(const SinkFolder& folder, const std::string& name, int flags) {
    constexpr int kAttempts = 8;
    auto& calls = folder.calls();
    for (int attempt = 0; attempt < kAttempts; attempt++) {
        auto opened = folder.open_file(name, flags);
        if (!opened || !*opened) return opened;
        const int fd = (*opened)->fd();
        const int locked = calls.try_lock(fd);
        if (locked == -EWOULDBLOCK) {
            return transient(folder.path().absolute() + " is being written by another consumer or process" +
                             holder(calls, fd, name) + "; tried again until that one stops");
        }
        if (locked < 0) return tl::unexpected<Error>(file_error(-locked, "lock " + folder.absolute(name)));
        FileInfo ours;
        if (const int result = calls.info(fd, ours); result < 0) {
            return tl::unexpected<Error>(file_error(-result, "look at " + folder.absolute(name)));
        }
        const auto at_path = folder.find(name);
        if (!at_path) return tl::unexpected<Error>(at_path.error());
        if (*at_path && (*at_path)->inode == ours.inode) return opened;
    }
    return transient(folder.absolute(name) + " is being replaced all the time by somebody else");
}

}  // namespace

Result<std::optional<CheckpointFile>> CheckpointFile::open(const SinkFolder& folder, const SinkOwner& owner) {
    auto handle = open_locked(folder, name_for(folder.path().file), O_RDWR);
    if (!handle) return tl::unexpected<Error>(handle.error());
    if (!*handle) return std::nullopt;
    CheckpointFile file(folder, owner, std::move(**handle));
    if (auto loaded = file.load(); !loaded) return tl::unexpected<Error>(loaded.error());
    if (auto written = file.write(owner_block(owner), 0); !written) return tl::unexpected<Error>(written.error());
    // The newest slot may be in the page cache alone, left there by a process that was killed before its fdatasync.
    if (auto synced = file.sync(); !synced) return tl::unexpected<Error>(synced.error());
    return file;
}

Result<void> CheckpointFile::load() {
    FileInfo info;
    if (const int result = folder_->calls().info(handle_.fd(), info); result < 0) {
        return tl::unexpected<Error>(file_error(-result, "look at " + path()));
    }
    const uint64_t slots = info.size_bytes > kOwnerBytes ? info.size_bytes - kOwnerBytes : 0;
    if (slots == 0 || slots % (2 * kSlotUnitBytes) != 0 || slots / 2 > kMaxSlotBytes) {
        return fatal(path() + " is damaged: it has been cut or extended. " + kRemedy);
    }
    slot_bytes_ = static_cast<size_t>(slots / 2);
    std::optional<CheckpointState> newest;
    int intact = 0;
    for (uint64_t slot = 0; slot < 2; slot++) {
        auto text = read_at(folder_->calls(), handle_.fd(), slot_bytes_, kOwnerBytes + slot * slot_bytes_, path());
        if (!text) return tl::unexpected<Error>(text.error());
        auto state = decode_slot(*text);
        if (!state) return fatal(path() + " cannot be used: " + state.error().reason);
        const bool of_this_file =
            *state && (*state)->sequence % 2 == slot && (*state)->file == folder_->path().file;
        if (of_this_file) intact++;
        if (of_this_file && (!newest || newest->sequence < (*state)->sequence)) newest = std::move(**state);
    }
    if (!newest) return fatal(path() + " is damaged: neither of its two slots is intact, or they are of another file. " + kRemedy);
    state_ = std::move(*newest);
    fell_back_ = intact == 1;  // both are written when the file is made
    return {};
}

Result<CheckpointFile> CheckpointFile::create(const SinkFolder& folder, const SinkOwner& owner, CheckpointState state) {
    return build(folder, owner, state, slot_bytes_for(state), false);
}

Result<CheckpointFile> CheckpointFile::build(const SinkFolder& folder, const SinkOwner& owner, const CheckpointState& state,
                                             size_t slot_bytes, bool replace) {
    const std::string& file = folder.path().file;
    auto& calls = folder.calls();
    auto handle = open_locked(folder, new_name_for(file), O_RDWR | O_CREAT);
    if (!handle) return tl::unexpected<Error>(handle.error());
    CheckpointFile made(folder, owner, std::move(**handle));
    // Whoever makes the final file holds this lock, so what is found now stays so.
    const auto existing = folder.find(name_for(file));
    if (!existing) return tl::unexpected<Error>(existing.error());
    if (existing->has_value() && !replace) return transient(made.path() + " has just been made by another process");

    made.slot_bytes_ = slot_bytes;
    const uint64_t total = kOwnerBytes + 2 * made.slot_bytes_;
    const std::string what = "make room for " + made.path();
    if (const int cut = calls.truncate(made.handle_.fd(), 0); cut < 0) return tl::unexpected<Error>(file_error(-cut, what));
    const int allocated = calls.allocate(made.handle_.fd(), total);
    if (allocated < 0) return tl::unexpected<Error>(file_error(-allocated, what));
    if (auto written = made.write(owner_block(owner), 0); !written) return tl::unexpected<Error>(written.error());
    made.state_ = state;
    for (int slot = 0; slot < 2; slot++) {
        if (auto stored = made.store(made.state_); !stored) return tl::unexpected<Error>(stored.error());
    }
    if (auto renamed = folder.rename(new_name_for(file), name_for(file), replace); !renamed) {
        return tl::unexpected<Error>(renamed.error());
    }
    if (auto synced = folder.sync(); !synced) return tl::unexpected<Error>(synced.error());
    return made;
}

Result<void> CheckpointFile::store(CheckpointState state) {
    state.sequence = state_.sequence + 1;
    const std::string slot = encode_slot(state, slot_bytes_);
    if (auto written = write(slot, kOwnerBytes + (state.sequence % 2) * slot_bytes_); !written) return written;
    if (auto synced = sync(); !synced) return synced;
    state_ = std::move(state);
    return {};
}

Result<void> CheckpointFile::grow_for(const CheckpointState& state) {
    auto bigger = build(*folder_, owner_, state_, slot_bytes_for(state), true);
    if (!bigger) return tl::unexpected<Error>(bigger.error());
    *this = std::move(*bigger);
    return {};
}

Result<void> CheckpointFile::check_in_place() const {
    FileInfo ours;
    if (const int result = folder_->calls().info(handle_.fd(), ours); result < 0) {
        return tl::unexpected<Error>(file_error(-result, "look at " + path()));
    }
    const auto at_path = folder_->find_from_root(name_for(folder_->path().file));
    if (!at_path) return tl::unexpected<Error>(at_path.error());
    if (!*at_path || (*at_path)->inode != ours.inode) {
        return fatal(path() + " was deleted, moved or replaced while it was in use. " + kRemedy);
    }
    return {};
}

Result<void> CheckpointFile::write(std::string_view bytes, uint64_t at) {
    while (!bytes.empty()) {
        const ssize_t n = folder_->calls().write_at(handle_.fd(), bytes.data(), bytes.size(), at);
        if (n <= 0) return tl::unexpected<Error>(file_error(n < 0 ? static_cast<int>(-n) : EIO, "write " + path()));
        bytes.remove_prefix(static_cast<size_t>(n));
        at += static_cast<uint64_t>(n);
    }
    return {};
}

Result<void> CheckpointFile::sync() {
    if (const int result = folder_->calls().sync_data(handle_.fd()); result < 0) {
        return tl::unexpected<Error>(file_error(-result, "sync " + path()));
    }
    return {};
}

}  // namespace fetcher
