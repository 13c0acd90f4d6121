// CheckpointFile: the file beside a sink's file that says what of it is durable, and whose lock keeps a second writer away.
//
// Layout: one block of 4096 bytes that names the owner (for the message a second writer gets; not trusted otherwise), then slots A and B
// of equal size. Slot `sequence % 2` is overwritten in place: a torn write leaves the other one valid, no new blocks are needed on a full
// disk, and no rename per sync. A checkpoint file appears whole, by rename: it never exists without a valid slot, so one without is
// damaged and is refused. It grows the same way.
//
// Lock: flock on this file, held as long as the object lives.
// Thread: one at a time; the worker, or the sync thread while it is at work
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/result.h"
#include "processors/checkpoint_state.h"
#include "processors/sink_folder.h"

namespace fetcher {

struct SinkOwner {
    int64_t pid = 0;
    std::string instance;
    std::string consumer_id;
};

class CheckpointFile {
  public:
    static std::string name_for(const std::string& file) { return file + ".checkpoint"; }

    // Locks and reads the checkpoint of folder.path(). nullopt: there is none. Transient error: somebody else writes this file.
    // Fatal: it is damaged. The folder outlives the object.
    static Result<std::optional<CheckpointFile>> open(const SinkFolder& folder, const SinkOwner& owner);

    // Makes one with this state, durable on return. Requires that open() found none. Transient error: somebody else is making it.
    static Result<CheckpointFile> create(const SinkFolder& folder, const SinkOwner& owner, CheckpointState state);

    // As read by open(), or as stored last.
    const CheckpointState& state() const { return state_; }

    // Whether open() found one of the two slots damaged: then state() may be older than what has been acknowledged. A torn write looks
    // the same as a bad block, so whoever continues must not believe anybody who claims to know more.
    bool fell_back() const { return fell_back_; }

    // Makes the state (its sequence is set here) durable. After an error the object must not be used again.
    Result<void> store(CheckpointState state);

    // Whether store() has room for this state, whatever its numbers grow to.
    bool has_room_for(const CheckpointState& state) const { return slot_bytes_for(state) <= slot_bytes_; }
    // Makes room for it, keeping state(). The lock is held throughout. After a transient error nothing has changed.
    Result<void> grow_for(const CheckpointState& state);

    // An error if the file at its path is no longer this one: then the lock protects nothing.
    Result<void> check_in_place() const;

  private:
    CheckpointFile(const SinkFolder& folder, SinkOwner owner, FileHandle handle)
        : folder_(&folder), owner_(std::move(owner)), handle_(std::move(handle)) {}

    static Result<CheckpointFile> build(const SinkFolder& folder, const SinkOwner& owner, const CheckpointState& state, size_t slot_bytes,
                                        bool replace);
    Result<void> load();
    Result<void> write(std::string_view bytes, uint64_t at);
    Result<void> sync();
    std::string path() const { return folder_->absolute(name_for(folder_->path().file)); }

    const SinkFolder* folder_;
    SinkOwner owner_;
    FileHandle handle_;
    size_t slot_bytes_ = 0;
    bool fell_back_ = false;
    CheckpointState state_;
};

}  // namespace fetcher
