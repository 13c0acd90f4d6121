// DataFile: the file that records are appended to.
//
// What a full disk does not take stays in `leftover` and is written before anything else, so that whoever appended need not repeat it.
// The file is opened with O_APPEND and this is its only writer: its size is known, and another size means that somebody else was at it.
// Thread: append(), settle(), check_size() worker; make_durable() any one thread; the rest any
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/result.h"
#include "processors/byte_buffer.h"
#include "processors/checkpoint_state.h"
#include "processors/sink_folder.h"

namespace fetcher {

class DataFile {
  public:
    // Both: the folder outlives the object. find(): nullopt if the file is missing. open(): makes it if it is missing; its name is
    // durable only after folder.sync().
    static Result<std::optional<DataFile>> find(const SinkFolder& folder);
    static Result<DataFile> open(const SinkFolder& folder);

    uint64_t inode() const { return inode_; }
    uint64_t written_bytes() const { return written_bytes_; }  // in the file
    uint64_t length_bytes() const { return written_bytes_ + leftover_.size(); }

    // Takes all of `bytes`; what the disk has no room for is kept. Fatal error: the file must not be used again.
    Result<void> append(std::string_view bytes);
    // Writes what was kept. Transient error: still no room.
    Result<void> settle();
    bool is_settled() const { return leftover_.empty(); }

    // Fatal error if the file is not exactly as long as what we wrote.
    Result<void> check_size() const;
    // Cuts everything beyond `length`, durably.
    Result<void> cut(uint64_t length);

    // Makes the first `length` bytes durable, and returns the tail that ends there. Fatal error if the file was deleted, moved, replaced
    // or truncated.
    Result<FileTail> make_durable(uint64_t length) const;
    Result<FileTail> tail(uint64_t length) const;
    // Up to `bytes` bytes from `at` on; fewer at the end of the file.
    Result<std::string> read(size_t bytes, uint64_t at) const;

  private:
    static Result<std::optional<DataFile>> open_with(const SinkFolder& folder, int flags);
    DataFile(const SinkFolder& folder, FileHandle handle) : folder_(&folder), handle_(std::move(handle)) {}
    Result<void> load_info();
    Result<void> check_in_place(uint64_t length) const;
    void push_out();
    Error error(int result, const char* doing) const;
    std::string path() const { return folder_->path().absolute(); }

    const SinkFolder* folder_;
    FileHandle handle_;
    uint64_t inode_ = 0;
    uint64_t written_bytes_ = 0;
    uint64_t pushed_bytes_ = 0;  // the kernel was asked to begin writing these to the disk
    ByteBuffer leftover_;
};

}  // namespace fetcher
