#include "processors/file_sink.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "processors/path_template.h"

namespace fetcher {

FileSink::FileSink(FileSinkOptions options, ProcessorOwner owner, ProcessorEnvironment environment, SystemCalls& calls)
    : options_(std::move(options)), owner_(std::move(owner)), environment_(std::move(environment)), calls_(calls) {}

RecordParts FileSink::parts() const {
    const bool all = options_.format.framing == Framing::ndjson;
    return {.keys = all, .headers = all};
}

Result<std::optional<Position>> FileSink::open(const std::shared_ptr<Assignment>& assignment) {
    auto file = file_for(assignment->partition);
    if (!file) return tl::unexpected<Error>(std::move(file.error()));
    auto position = (*file)->add(assignment);
    if (position) {
        // A file that moves with its partition is the same one for every member of the group.
        if (*position && options_.is_shared_by_members()) (*position)->authoritative = true;
        by_partition_[assignment->partition] = *file;
    } else {
        drop_if_unused(*file);
    }
    return position;
}

Result<SinkFile*> FileSink::file_for(int32_t partition) {
    const std::string path = options_.path_for(owner_, environment_, partition);
    if (const auto found = files_.find(path); found != files_.end()) return found->second.get();
    auto placed = place_beneath(path, environment_.file_sink_roots);
    if (!placed) return fatal(path + " is not beneath a folder of FILE_SINK_ROOTS");
    if (placed->reserved_name()) return fatal(path + " has a name that is for the server's own files; choose another file_path");
    auto file = SinkFile::open(calls_, sync_,
                               {.path = std::move(*placed),
                                .format = options_.format,
                                .rotate_bytes = options_.rotate_bytes,
                                .rotate_interval = options_.rotate_interval,
                                .fsync_interval = options_.fsync_interval,
                                .owner = {::getpid(), environment_.instance_id, owner_.consumer_id}});
    if (!file) return tl::unexpected<Error>(std::move(file.error()));
    return files_.emplace(path, std::move(*file)).first->second.get();
}

Outcome FileSink::write(const Batch& batch, size_t first) {
    const auto file = by_partition_.find(batch.partition());
    FETCHER_INVARIANT(file != by_partition_.end(), "a batch is of a partition that is open");
    return file->second->write(batch, first);
}

Outcome FileSink::flush() {
    // One file that cannot be synced must not keep the others from it.
    Outcome worst;
    for (const auto& [path, file] : files_) {
        auto outcome = file->flush();
        if (outcome.kind != Outcome::Kind::durable && worst.kind != Outcome::Kind::fatal) worst = std::move(outcome);
    }
    return worst;
}

void FileSink::close(const Assignment& assignment) {
    const auto found = by_partition_.find(assignment.partition);
    if (found == by_partition_.end()) return;  // its open() had not succeeded yet
    SinkFile* file = found->second;
    by_partition_.erase(found);
    file->remove(assignment);
    drop_if_unused(file);
}

void FileSink::drop_if_unused(SinkFile* file) {
    if (!file->is_unused()) return;
    std::erase_if(files_, [&](const auto& entry) { return entry.second.get() == file; });
}

std::optional<Clock::time_point> FileSink::wake_at() const {
    std::optional<Clock::time_point> soonest;
    for (const auto& [path, file] : files_) {
        const auto at = file->wake_at();
        if (at && (!soonest || *at < *soonest)) soonest = at;
    }
    return soonest;
}

Outcome FileSink::on_timer() {
    Outcome worst = Outcome::accepted();
    const auto now = calls_.now();
    for (const auto& [path, file] : files_) {
        const auto at = file->wake_at();
        if (!at || *at > now) continue;
        auto outcome = file->on_timer();
        if (outcome.kind != Outcome::Kind::accepted && worst.kind != Outcome::Kind::fatal) worst = std::move(outcome);
    }
    return worst;
}

}  // namespace fetcher
