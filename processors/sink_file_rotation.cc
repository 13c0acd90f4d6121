// The part of SinkFile that finishes a file and begins the next. What a kill between two steps leaves is put right by open_sink().
#include "processors/rotated_name.h"
#include "processors/sink_file.h"

namespace fetcher {

bool SinkFile::rotation_due() const {
    const uint64_t length = files_.data.length_bytes();
    if (length == 0) return false;
    if (rotation_wanted_) return true;
    if (options_.rotate_bytes > 0 && length >= options_.rotate_bytes) return true;
    return begun_at_ && options_.rotate_interval.count() > 0 && calls_.now() - *begun_at_ >= options_.rotate_interval;
}

Result<void> SinkFile::rotate() {
    if (rotation_ == Rotation::none) {
        auto name = free_rotated_name();
        if (!name) return tl::unexpected<Error>(name.error());
        auto point = take_sync_point();
        if (!point) return tl::unexpected<Error>(point.error());
        point->state.rotating_to = *name;
        if (auto synced = sync_.run(*this, *point); !synced) return synced;
        all_durable_ = true;
        rotating_to_ = std::move(*name);
        rotation_ = Rotation::announced;
    }
    if (rotation_ == Rotation::announced) {
        if (auto renamed = files_.folder->rename(options_.path.file, rotating_to_, false); !renamed) return renamed;
        rotation_ = Rotation::renamed;
    }
    return begin_next();
}

Result<std::string> SinkFile::free_rotated_name() {
    for (uint64_t number = state_.rotations + 1;; number++) {
        auto name = rotated_name(options_.path.file, calls_.wall_now(), number);
        const auto taken = files_.folder->find(name);
        if (!taken) return tl::unexpected<Error>(taken.error());
        if (!*taken) return name;
    }
}

Result<void> SinkFile::begin_next() {
    auto next = begin_next_file(*files_.folder, files_.checkpoint, options_.format);
    if (!next) return tl::unexpected<Error>(next.error());
    files_.data = std::move(*next);
    const CheckpointState& stored = files_.checkpoint.state();
    state_.inode = stored.inode;
    state_.length_bytes = 0;
    state_.content = stored.content;
    state_.begun_ms = 0;
    state_.rotations = stored.rotations;
    begun_at_.reset();
    requested_bytes_ = 0;
    rotation_ = Rotation::none;
    rotation_wanted_ = false;
    return {};
}

void SinkFile::note_first_byte() {
    if (begun_at_) return;
    begun_at_ = calls_.now();
    const auto since_1970 = calls_.wall_now().time_since_epoch();
    state_.begun_ms = std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count();
}

// A file that somebody else left without an end of line: our first record begins on a line of its own. Cut off together with it.
Result<void> SinkFile::append_newline_if_missing() {
    const uint64_t length = files_.data.length_bytes();
    if (options_.format.compression != Compression::none || length == 0 || newline_checked_) return {};
    newline_checked_ = true;
    const auto last = files_.data.read(1, length - 1);
    if (!last) return tl::unexpected<Error>(last.error());
    return *last == "\n" ? Result<void>() : files_.data.append("\n");
}

}  // namespace fetcher
