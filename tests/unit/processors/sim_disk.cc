#include "sim_disk.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fetcher {
namespace {

// Smaller than any disk's: what is written tears in more places.
constexpr size_t kSectorBytes = 64;

std::pair<std::string, std::string> split(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {"", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

SimDisk::SimDisk() : root_(make_inode(true)) {}

SimDisk::InodePtr SimDisk::make_inode(bool folder) {
    auto inode = std::make_shared<Inode>();
    inode->number = next_inode_++;
    inode->folder = folder;
    return inode;
}

void SimDisk::die_at_call(uint64_t n) {
    const std::lock_guard lock(mutex_);
    calls_ = 0;
    die_at_ = n;
}

void SimDisk::fail_call(uint64_t n, int error_number) {
    const std::lock_guard lock(mutex_);
    calls_ = 0;
    fail_at_ = n;
    fail_with_ = error_number;
}

bool SimDisk::is_dead() const {
    const std::lock_guard lock(mutex_);
    return die_at_ > 0 && calls_ >= die_at_;
}

uint64_t SimDisk::calls_made() const {
    const std::lock_guard lock(mutex_);
    return calls_;
}

SimDisk::Effect SimDisk::next_call() {
    calls_++;
    if (die_at_ > 0 && calls_ > die_at_) return Effect::none;
    if (die_at_ > 0 && calls_ == die_at_) return random_() % 3 == 0 ? Effect::none : Effect::partial;
    if (fail_at_ > 0 && calls_ == fail_at_) return Effect::failed;
    return Effect::full;
}

int SimDisk::refusal(Effect effect) const { return effect == Effect::failed ? -fail_with_ : -EIO; }

void SimDisk::restart_process() {
    const std::lock_guard lock(mutex_);
    for (auto& [fd, descriptor] : descriptors_) descriptor.inode->locked_by = -1;
    descriptors_.clear();
    calls_ = die_at_ = fail_at_ = 0;
}

void SimDisk::restart_machine(uint32_t seed, bool nothing_stays) {
    restart_process();
    const std::lock_guard lock(mutex_);
    std::mt19937 random(seed);
    lose_unsynced(*root_, random, nothing_stays);
}

void SimDisk::lose_unsynced(Inode& inode, std::mt19937& random, bool nothing_stays) {
    const auto stays = [&] { return !nothing_stays && random() % 2 == 0; };
    if (inode.folder) {
        for (const auto& change : inode.unsynced_names) {
            if (stays()) change(inode.durable_entries);
        }
        inode.unsynced_names.clear();
        inode.entries = inode.durable_entries;
        for (auto& [name, child] : inode.entries) lose_unsynced(*child, random, nothing_stays);
        return;
    }
    if (stays()) inode.durable.resize(inode.current.size(), '\0');
    for (const size_t sector : inode.dirty) {
        if (stays()) write_sector(inode, sector);
    }
    inode.dirty.clear();
    inode.current = inode.durable;
}

void SimDisk::write_sector(Inode& inode, size_t sector) {
    const size_t at = sector * kSectorBytes;
    const size_t end = std::min({at + kSectorBytes, inode.durable.size(), inode.current.size()});
    if (at < end) inode.durable.replace(at, end - at, inode.current, at, end - at);
}

void SimDisk::resize(Inode& inode, uint64_t bytes) {
    if (bytes < inode.current.size()) inode.dirty.insert(bytes / kSectorBytes);  // what is beyond becomes zeros
    inode.current.resize(bytes, '\0');
}

// --- looking and meddling ------------------------------------------------------------------------------------------------------

SimDisk::InodePtr SimDisk::walk(InodePtr from, const std::string& path) const {
    for (size_t at = 0; from && at < path.size();) {
        const size_t end = std::min(path.find('/', at), path.size());
        if (end > at) {
            const auto found = from->entries.find(path.substr(at, end - at));
            from = found == from->entries.end() ? nullptr : found->second;
        }
        at = end + 1;
    }
    return from;
}

std::vector<std::string> SimDisk::files(const std::string& folder) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    if (const auto inode = walk(root_, folder)) {
        for (const auto& [name, child] : inode->entries) names.push_back(name);
    }
    return names;
}

std::optional<std::string> SimDisk::content(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    const auto inode = walk(root_, path);
    if (!inode) return std::nullopt;
    return inode->current;
}

void SimDisk::put(const std::string& path, const std::string& content) {
    const std::lock_guard lock(mutex_);
    const auto [folder, name] = split(path);
    const auto parent = walk(root_, folder);
    auto& inode = parent->entries[name];
    if (!inode) inode = make_inode(false);
    parent->durable_entries[name] = inode;
    inode->current = inode->durable = content;
    inode->dirty.clear();
}

void SimDisk::remove(const std::string& path) {
    const std::lock_guard lock(mutex_);
    const auto [folder, name] = split(path);
    const auto parent = walk(root_, folder);
    parent->entries.erase(name);
    parent->durable_entries.erase(name);
}

void SimDisk::replace(const std::string& path, const std::string& content) {
    remove(path);
    put(path, content);
}

void SimDisk::advance(std::chrono::milliseconds time) {
    const std::lock_guard lock(mutex_);
    time_ += time;
}

void SimDisk::tell(const char* what, int fd) const {
    if (!listener_) return;
    const auto found = descriptors_.find(fd);
    listener_(std::string(what) + " " + (found == descriptors_.end() ? "?" : found->second.name));
}

uint64_t SimDisk::used_bytes() const {
    uint64_t total = 0;
    std::vector<InodePtr> open{root_};
    while (!open.empty()) {
        const auto inode = open.back();
        open.pop_back();
        total += inode->current.size();
        for (const auto& [name, child] : inode->entries) open.push_back(child);
    }
    return total;
}

void SimDisk::count_links(const Inode& folder, const Inode& target, uint64_t& links) const {
    for (const auto& [name, child] : folder.entries) {
        if (child.get() == &target) links++;
        if (child->folder) count_links(*child, target, links);
    }
}

// --- SystemCalls ---------------------------------------------------------------------------------------------------------------

int SimDisk::add_descriptor(InodePtr inode, std::string name) {
    descriptors_[next_fd_] = {std::move(inode), std::move(name)};
    return next_fd_++;
}

int SimDisk::open_root(const std::string& path) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    if (effect != Effect::full) return refusal(effect);
    // A root is made with the machine, durably.
    auto& inode = root_->entries[path.substr(1)];
    if (!inode) inode = make_inode(true);
    root_->durable_entries[path.substr(1)] = inode;
    return add_descriptor(inode, path);
}

void SimDisk::change_names(Inode& folder, NameChange change) {
    change(folder.entries);
    folder.unsynced_names.push_back(std::move(change));
}

int SimDisk::open_beneath(int folder, const std::string& path, int flags, mode_t) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    if (effect == Effect::none || effect == Effect::failed) return refusal(effect);
    const auto parent = descriptors_.at(folder).inode;
    auto inode = walk(parent, path);
    if (!inode && (flags & O_CREAT) != 0) {
        inode = make_inode(false);
        change_names(*parent, [path, inode](Entries& entries) { entries[path] = inode; });
    } else if (!inode) {
        return -ENOENT;
    } else if ((flags & O_EXCL) != 0) {
        return -EEXIST;
    }
    if (effect == Effect::partial) return -EIO;  // made, but nobody is left to be told
    return add_descriptor(inode, split(path).second);
}

int SimDisk::make_folder(int folder, const std::string& name, mode_t) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    if (effect == Effect::none || effect == Effect::failed) return refusal(effect);
    const auto parent = descriptors_.at(folder).inode;
    if (parent->entries.contains(name)) return -EEXIST;
    const auto inode = make_inode(true);
    change_names(*parent, [name, inode](Entries& entries) { entries[name] = inode; });
    return 0;
}

int SimDisk::info(int fd, FileInfo& into) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    if (effect != Effect::full) return refusal(effect);
    const auto& inode = *descriptors_.at(fd).inode;
    into = {};
    into.inode = inode.number;
    into.size_bytes = inode.current.size();
    into.regular = !inode.folder;
    count_links(*root_, inode, into.links);
    return 0;
}

ssize_t SimDisk::store(int fd, const char* data, size_t bytes, uint64_t at, Effect effect, const char* what) {
    if (effect == Effect::none || effect == Effect::failed) return refusal(effect);
    auto& inode = *descriptors_.at(fd).inode;
    if (effect == Effect::partial) bytes = random_() % (std::min<size_t>(bytes, random_() % 2 == 0 ? bytes : 400) + 1);
    const uint64_t used = used_bytes();
    const uint64_t end = at + bytes;
    if (end > inode.current.size() && used + (end - inode.current.size()) > capacity_bytes_) {
        const uint64_t free = capacity_bytes_ > used ? capacity_bytes_ - used : 0;
        bytes = static_cast<size_t>(std::min<uint64_t>(bytes, inode.current.size() + free - at));
        if (bytes == 0) return -ENOSPC;
    }
    if (at + bytes > inode.current.size()) resize(inode, at + bytes);
    inode.current.replace(at, bytes, data, bytes);
    for (size_t sector = at / kSectorBytes; bytes > 0 && sector <= (at + bytes - 1) / kSectorBytes; sector++) inode.dirty.insert(sector);
    if (effect == Effect::partial) return -EIO;
    tell(what, fd);
    return static_cast<ssize_t>(bytes);
}

ssize_t SimDisk::append(int fd, const char* data, size_t bytes) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    const auto found = descriptors_.find(fd);
    const uint64_t end = found == descriptors_.end() ? 0 : found->second.inode->current.size();
    return store(fd, data, bytes, end, effect, "append");
}

ssize_t SimDisk::write_at(int fd, const char* data, size_t bytes, uint64_t at) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    return store(fd, data, bytes, at, effect, "write_at");
}

ssize_t SimDisk::read_at(int fd, char* into, size_t bytes, uint64_t at) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    if (effect != Effect::full) return refusal(effect);
    const auto& text = descriptors_.at(fd).inode->current;
    if (at >= text.size()) return 0;
    bytes = std::min<size_t>(bytes, text.size() - at);
    std::memcpy(into, text.data() + at, bytes);
    return static_cast<ssize_t>(bytes);
}

int SimDisk::truncate(int fd, uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    if (effect == Effect::none || effect == Effect::failed) return refusal(effect);
    resize(*descriptors_.at(fd).inode, bytes);
    tell("truncate", fd);
    return effect == Effect::partial ? -EIO : 0;
}

int SimDisk::allocate(int fd, uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    if (effect == Effect::none || effect == Effect::failed) return refusal(effect);
    auto& text = descriptors_.at(fd).inode->current;
    if (bytes > text.size() && used_bytes() + bytes - text.size() > capacity_bytes_) return -ENOSPC;
    if (bytes > text.size()) text.resize(bytes, '\0');
    return effect == Effect::partial ? -EIO : 0;
}

int SimDisk::sync_data(int fd) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    if (effect == Effect::none) return refusal(effect);
    auto& inode = *descriptors_.at(fd).inode;
    if (effect == Effect::failed) {
        inode.dirty.clear();  // as Linux does it: clean from now on, though they never reached the disk
        return refusal(effect);
    }
    inode.durable.resize(inode.current.size(), '\0');
    for (const size_t sector : inode.dirty) write_sector(inode, sector);
    inode.dirty.clear();
    tell("sync_data", fd);
    return effect == Effect::partial ? -EIO : 0;
}

int SimDisk::sync_all(int fd) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    if (effect == Effect::none || effect == Effect::failed) return refusal(effect);
    auto& inode = *descriptors_.at(fd).inode;
    inode.durable_entries = inode.entries;
    inode.unsynced_names.clear();
    tell("sync_all", fd);
    return effect == Effect::partial ? -EIO : 0;
}

int SimDisk::begin_writeback(int, uint64_t, uint64_t) {
    const std::lock_guard lock(mutex_);
    next_call();
    return 0;
}

int SimDisk::try_lock(int fd) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    if (effect != Effect::full) return refusal(effect);
    auto& holder = descriptors_.at(fd).inode->locked_by;
    if (holder >= 0 && holder != fd) return -EWOULDBLOCK;
    holder = fd;
    return 0;
}

int SimDisk::rename(int folder, const std::string& from, const std::string& to, bool replace) {
    const std::lock_guard lock(mutex_);
    const Effect effect = next_call();
    if (effect == Effect::none || effect == Effect::failed) return refusal(effect);
    auto& inode = *descriptors_.at(folder).inode;
    const auto found = inode.entries.find(from);
    if (found == inode.entries.end()) return -ENOENT;
    if (!replace && inode.entries.contains(to)) return -EEXIST;
    change_names(inode, [from, to, moved = found->second](Entries& entries) {
        if (const auto old = entries.find(from); old != entries.end() && old->second == moved) entries.erase(old);
        entries[to] = moved;
    });
    tell("rename", folder);
    return effect == Effect::partial ? -EIO : 0;
}

void SimDisk::close(int fd) {
    const std::lock_guard lock(mutex_);
    const auto found = descriptors_.find(fd);
    if (found == descriptors_.end()) return;
    if (found->second.inode->locked_by == fd) found->second.inode->locked_by = -1;
    descriptors_.erase(found);
}

std::chrono::steady_clock::time_point SimDisk::now() {
    const std::lock_guard lock(mutex_);
    return std::chrono::steady_clock::time_point(std::chrono::hours(1000) + time_);
}

std::chrono::system_clock::time_point SimDisk::wall_now() {
    const std::lock_guard lock(mutex_);
    return std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000) + time_);
}

}  // namespace fetcher
