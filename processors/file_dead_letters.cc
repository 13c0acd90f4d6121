#include "processors/file_dead_letters.h"

#include <fcntl.h>

#include <cerrno>
#include <chrono>

#include "engine/assignment.h"
#include "engine/iso_time.h"
#include "processors/byte_buffer.h"
#include "processors/checkpoint_file.h"
#include "processors/file_errors.h"
#include "processors/ndjson_encoder.h"
#include "processors/sink_folder.h"

namespace fetcher {
namespace {

void append_field(const char* name, std::string_view text, ByteBuffer& into) {
    into.append(name);
    NdjsonEncoder::append_text(text, into);
}

void append_number(const char* name, int64_t number, ByteBuffer& into) {
    into.append(name);
    into.append(std::to_string(number));
}

void append_optional(const char* name, const std::optional<std::string_view>& text, ByteBuffer& into) {
    into.append(name);
    if (text) NdjsonEncoder::append_text(*text, into);
    else into.append("null");
}

void append_line(const Record& record, const Assignment& from, const std::string& why, const Refuser& refuser, const std::string& now,
                 ByteBuffer& into) {
    append_field("{\"failed_at\":", now, into);
    append_field(",\"consumer_id\":", from.consumer_id, into);
    append_field(",\"consumer_group\":", from.group, into);
    append_field(",\"processor_id\":", refuser.processor_id, into);
    append_field(",\"processor_type\":", refuser.processor_type, into);
    append_field(",\"error\":", why, into);
    append_number(",\"replays\":", refuser.replays, into);
    append_field(",\"topic\":", from.topic, into);
    append_number(",\"partition\":", from.partition, into);
    append_number(",\"offset\":", record.offset(), into);
    append_number(",\"timestamp\":", record.timestamp_ms(), into);
    append_optional(",\"key\":", record.key(), into);
    into.append(",\"headers\":[");
    NdjsonEncoder::append_headers(record, NdjsonEncoder::Nul::escaped, into);
    append_optional("],\"value\":", record.value(), into);
    into.append("}\n");
}

// A sink cuts its file to what its checkpoint says whenever it opens it.
Result<void> check_no_sink(const SinkFolder& folder) {
    const auto name = CheckpointFile::name_for(folder.path().file);
    const auto found = folder.find(name);
    if (!found) return tl::unexpected(found.error());
    if (!*found) return {};
    return transient("it is, or was, the file of a file_sink: " + name + " lies beside it. Choose another file_path for dead_letter");
}

}  // namespace

// Whatever is wrong, mending it lets the same records through: every error is one to be tried again.
Result<void> FileDeadLetters::keep(const Batch& batch, const std::vector<BadRecord>& bad, const Refuser& refuser) {
    const auto done = append(batch, bad, refuser);
    if (done) return {};
    return transient("dead letters cannot be kept in " + path_.absolute() + ": " + done.error().reason + "; nothing behind them is delivered until they are");
}

Result<void> FileDeadLetters::append(const Batch& batch, const std::vector<BadRecord>& bad, const Refuser& refuser) {
    const auto failed = [&](int error_number) { return tl::unexpected(file_error(error_number, "write " + path_.file)); };

    const auto folder = SinkFolder::open(calls_, path_);
    if (!folder) return tl::unexpected(folder.error());
    if (auto free = check_no_sink(*folder); !free) return free;
    const auto file = folder->open_file(path_.file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC);
    if (!file) return tl::unexpected(file.error());
    if (!*file) return failed(ENOENT);
    const int fd = (*file)->fd();
    if (const int locked = calls_.try_lock(fd); locked < 0) return failed(-locked);
    FileInfo before;
    if (const int known = calls_.info(fd, before); known < 0) return failed(-known);

    ByteBuffer lines;
    char last = '\n';
    if (before.size_bytes > 0) {
        if (const auto got = calls_.read_at(fd, &last, 1, before.size_bytes - 1); got < 0) return failed(static_cast<int>(-got));
    }
    if (last != '\n') lines.append('\n');
    const auto now = iso_time(std::chrono::system_clock::now());
    for (const auto& [index, why] : bad) append_line(batch.record(index), batch.assignment(), why, refuser, now, lines);

    for (auto left = lines.view(); !left.empty();) {
        const auto written = calls_.append(fd, left.data(), left.size());
        if (written < 0) {
            calls_.truncate(fd, before.size_bytes);  // half of a line helps nobody; if this fails too, readers skip it
            return failed(static_cast<int>(-written));
        }
        left.remove_prefix(static_cast<size_t>(written));
    }
    if (const int synced = calls_.sync_data(fd); synced < 0) return failed(-synced);
    if (before.size_bytes == 0)
        if (auto synced = folder->sync(); !synced) return tl::unexpected(synced.error());
    return check_no_sink(*folder);  // one that has begun meanwhile may not know of these
}

}  // namespace fetcher
