#include "processors/sink_opening.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace fetcher {
namespace {

constexpr std::string_view kZstdMagic("\x28\xb5\x2f\xfd", 4);
constexpr const char* kRemedy =
    " Put the file back as it was, or move its .checkpoint file (and what is left of it) away: the consumer then starts a new file at "
    "its group's committed offset";

CheckpointState empty_state(const SinkFolder& folder, const DataFile& data, const SinkFormat& format) {
    CheckpointState state;
    state.file = folder.path().file;
    state.inode = data.inode();
    state.content = format.name();
    return state;
}

// A file of somebody else, found without a checkpoint, is continued if that makes a sensible file.
Result<void> check_foreign_content(const DataFile& data, const SinkFormat& format, const std::string& path) {
    if (data.written_bytes() == 0) return {};
    const auto head = data.read(kZstdMagic.size(), 0);
    if (!head) return tl::unexpected<Error>(head.error());
    const bool is_zstd = *head == kZstdMagic;
    if (is_zstd == (format.compression == Compression::zstd)) return {};
    return fatal(path + (is_zstd ? " exists and is compressed by zstd, which this sink is not set to"
                                 : " exists and is not compressed, but this sink is set to zstd") +
                 ". Choose another file_path or move the file away");
}

// There is no checkpoint: what is in the file, if there is one, is not ours and stays.
Result<OpenedSink> begin_anew(std::unique_ptr<SinkFolder> folder, const SinkFormat& format, const SinkOwner& owner) {
    auto found = DataFile::open(*folder);
    if (!found) return tl::unexpected<Error>(found.error());
    DataFile data = std::move(*found);
    if (auto checked = check_foreign_content(data, format, folder->path().absolute()); !checked) {
        return tl::unexpected<Error>(checked.error());
    }
    if (auto synced = folder->sync(); !synced) return tl::unexpected<Error>(synced.error());
    auto state = empty_state(*folder, data, format);
    state.length_bytes = data.written_bytes();
    auto tail = data.make_durable(state.length_bytes);
    if (!tail) return tl::unexpected<Error>(tail.error());
    state.tail = *tail;
    auto checkpoint = CheckpointFile::create(*folder, owner, std::move(state));
    if (!checkpoint) return tl::unexpected<Error>(checkpoint.error());
    return OpenedSink{std::move(folder), std::move(*checkpoint), std::move(data)};
}

// Opens the file that the checkpoint describes and cuts what lies beyond it.
Result<DataFile> resume(const SinkFolder& folder, const CheckpointState& state) {
    const std::string path = folder.path().absolute();
    auto found = DataFile::find(folder);
    if (!found) return tl::unexpected<Error>(found.error());
    if (!*found) return fatal(path + " is missing, but its checkpoint says that it was being written: it was deleted or moved." + kRemedy);
    DataFile data = std::move(**found);
    if (data.inode() != state.inode) return fatal(path + " is another file than the one its checkpoint describes: it was replaced." + kRemedy);
    if (data.written_bytes() < state.length_bytes) {
        return fatal(path + " is " + std::to_string(data.written_bytes()) + " bytes long where its checkpoint says " +
                     std::to_string(state.length_bytes) + ": it was truncated." + kRemedy);
    }
    const auto tail = data.tail(state.length_bytes);
    if (!tail) return tl::unexpected<Error>(tail.error());
    if (state.tail.bytes > 0 && *tail != state.tail) {
        return fatal(path + " does not hold what its checkpoint says before byte " + std::to_string(state.length_bytes) +
                     ": it was edited or truncated." + kRemedy);
    }
    if (data.written_bytes() > state.length_bytes) {
        spdlog::info("{}: cut from {} to {} bytes, where its checkpoint stands; the rest is read from Kafka again", path,
                     data.written_bytes(), state.length_bytes);
        if (auto cut = data.cut(state.length_bytes); !cut) return tl::unexpected<Error>(cut.error());
    }
    return data;
}

// A rotation was announced: it is finished if the file has its new name, and forgotten if it still has the old one.
Result<DataFile> finish_or_undo_rotation(const SinkFolder& folder, CheckpointFile& checkpoint, const SinkFormat& format) {
    CheckpointState state = checkpoint.state();
    const auto finished = folder.find(state.rotating_to);
    if (!finished) return tl::unexpected<Error>(finished.error());
    if (*finished && (*finished)->inode == state.inode) return begin_next_file(folder, checkpoint, format);
    auto data = resume(folder, state);
    if (!data) return data;
    state.rotating_to.clear();
    if (auto stored = checkpoint.store(std::move(state)); !stored) return tl::unexpected<Error>(stored.error());
    return data;
}

}  // namespace

Result<DataFile> begin_next_file(const SinkFolder& folder, CheckpointFile& checkpoint, const SinkFormat& format) {
    // The old name is gone for good before the new file takes it.
    if (auto synced = folder.sync(); !synced) return tl::unexpected<Error>(synced.error());
    auto data = DataFile::open(folder);
    if (!data) return data;
    if (data->written_bytes() > 0) {
        return fatal(folder.path().absolute() + " was put there by somebody else during a rotation. Move it away");
    }
    if (auto synced = folder.sync(); !synced) return tl::unexpected<Error>(synced.error());
    auto state = empty_state(folder, *data, format);
    state.positions = checkpoint.state().positions;
    state.rotations = checkpoint.state().rotations + 1;
    if (auto stored = checkpoint.store(std::move(state)); !stored) return tl::unexpected<Error>(stored.error());
    return data;
}

Result<OpenedSink> open_sink(SystemCalls& calls, const RootedPath& path, const SinkFormat& format, const SinkOwner& owner) {
    auto opened = SinkFolder::open(calls, path);
    if (!opened) return tl::unexpected<Error>(opened.error());
    auto folder = std::make_unique<SinkFolder>(std::move(*opened));
    auto checkpoint = CheckpointFile::open(*folder, owner);
    if (!checkpoint) return tl::unexpected<Error>(checkpoint.error());
    if (!*checkpoint) return begin_anew(std::move(folder), format, owner);
    // Names may be in the page cache alone, left there by a process that was killed before its fsync.
    if (auto synced = folder->sync(); !synced) return tl::unexpected<Error>(synced.error());
    CheckpointFile& file = **checkpoint;
    auto data = file.state().rotating_to.empty() ? resume(*folder, file.state()) : finish_or_undo_rotation(*folder, file, format);
    if (!data) return tl::unexpected<Error>(data.error());
    return OpenedSink{std::move(folder), std::move(file), std::move(*data)};
}

}  // namespace fetcher
