#include "sink_world.h"

#include <zstd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace fetcher {
namespace {

// Offsets 3, 7, 11, … are those of transaction markers or were compacted away.
bool exists(int64_t offset) { return offset % 4 != 3; }

std::string value_of(int32_t partition, int64_t offset) {
    const auto filler = static_cast<size_t>((offset * 37 + partition * 11) % 90);
    return std::to_string(partition) + ":" + std::to_string(offset) + ":" + std::string(filler, 'x');
}

std::string decompressed(const std::string& text) {
    std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
    std::string result;
    std::string piece(1 << 16, '\0');
    ZSTD_inBuffer in{text.data(), text.size(), 0};
    size_t left = 0;
    while (in.pos < in.size) {
        ZSTD_outBuffer out{piece.data(), piece.size(), 0};
        left = ZSTD_decompressStream(context.get(), &out, &in);
        if (ZSTD_isError(left)) return result + "\nzstd: " + ZSTD_getErrorName(left);
        result.append(piece, 0, out.pos);
    }
    return left == 0 ? result : result + "\nzstd: the last frame is not complete";
}

// As the engine does it: a call that asks for a retry is repeated.
template <class Call>
Outcome persist(Call&& call) {
    constexpr int kAttempts = 4;
    Outcome outcome = call();
    for (int n = 1; n < kAttempts && outcome.kind == Outcome::Kind::retry; n++) outcome = call();
    return outcome;
}

Result<std::optional<Position>> open_persistently(FileSink& sink, const std::shared_ptr<Assignment>& assignment) {
    auto position = sink.open(assignment);
    if (!position && position.error().kind == ErrorKind::transient) position = sink.open(assignment);
    return position;
}

}  // namespace

std::shared_ptr<Assignment> make_assignment(int32_t partition, const std::string& group, const std::string& topic_id) {
    static std::atomic<uint64_t> epoch{0};
    auto assignment = std::make_shared<Assignment>();
    assignment->consumer_id = "consumer-1";
    assignment->group = group;
    assignment->topic = "topic";
    assignment->topic_id = topic_id;
    assignment->partition = partition;
    assignment->epoch = ++epoch;
    return assignment;
}

void RecordingAcks::durable(const std::shared_ptr<Assignment>& assignment, int64_t next_offset) {
    const std::lock_guard lock(mutex_);
    auto& known = durable_[assignment->partition];
    known = std::max(known, next_offset);
}

void RecordingAcks::failed(Error error) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(error);
}

int64_t RecordingAcks::durable_below(int32_t partition) const {
    const std::lock_guard lock(mutex_);
    const auto found = durable_.find(partition);
    return found == durable_.end() ? 0 : found->second;
}

std::optional<Error> RecordingAcks::failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
}

void RecordingAcks::forget_failure() {
    const std::lock_guard lock(mutex_);
    failure_.reset();
}

std::unique_ptr<FileSink> SinkWorld::make_sink() {
    FileSinkOptions options;
    options.file_path = setup_.file_path;
    options.format = setup_.format;
    options.rotate_bytes = setup_.rotate_bytes;
    options.fsync_interval = setup_.fsync_interval;
    auto sink = std::make_unique<FileSink>(options, ProcessorOwner{"consumer-1", setup_.group, "topic"},
                                           ProcessorEnvironment{"instance-1", {"/root"}}, disk);
    sink->bind(acks);
    return sink;
}

void SinkWorld::fill(Batch& batch, const std::shared_ptr<Assignment>& assignment, int64_t from) const {
    batch.begin(assignment, from);
    int64_t offset = from;
    for (int64_t n = 0; n < setup_.records_a_batch && offset < setup_.records; offset++) {
        if (!exists(offset)) continue;
        batch.add(offset, 1'700'000'000'000 + offset, value_of(assignment->partition, offset));
        n++;
    }
    batch.set_next_offset(offset);
}

std::optional<std::string> SinkWorld::live() {
    auto sink = make_sink();
    std::map<int32_t, int64_t> next;
    std::vector<std::shared_ptr<Assignment>> all;
    for (int32_t partition = 0; partition < setup_.partitions; partition++) {
        all.push_back(make_assignment(partition, setup_.group));
        const auto position = open_persistently(*sink, all.back());
        if (!position) return "open: " + position.error().reason;
        next[partition] = *position ? (*position)->next_offset : acks.durable_below(partition);
    }
    auto failed = feed(*sink, next, all);
    for (const auto& assignment : all) sink->close(*assignment);
    return failed;
}

std::optional<std::string> SinkWorld::feed(FileSink& sink, std::map<int32_t, int64_t>& next,
                                           std::vector<std::shared_ptr<Assignment>>& all) {
    Batch batch;
    int rounds = 0;
    for (bool more = true; more;) {
        more = false;
        for (const auto& assignment : all) {
            int64_t& at = next[assignment->partition];
            if (at >= setup_.records) continue;
            fill(batch, assignment, at);
            const auto outcome = persist([&] { return sink.write(batch, 0); });
            if (outcome.kind != Outcome::Kind::accepted) return "write: " + outcome.reason;
            at = batch.next_offset();
            more = true;
        }
        rounds++;
        if (setup_.flush_every > 0 && rounds % setup_.flush_every == 0) {
            if (const auto flushed = persist([&] { return sink.flush(); }); flushed.kind != Outcome::Kind::durable) return "flush: " + flushed.reason;
        }
    }
    const auto flushed = persist([&] { return sink.flush(); });
    if (flushed.kind != Outcome::Kind::durable) return "flush: " + flushed.reason;
    return std::nullopt;
}

std::vector<std::string> SinkWorld::lines() const {
    const std::string folder = setup_.file_path.substr(0, setup_.file_path.rfind('/'));
    std::vector<std::string> finished;
    std::vector<std::string> current;
    for (const auto& name : disk.files(folder)) {
        if (name.find(".checkpoint") != std::string::npos) continue;
        (name.find("Z-") != std::string::npos ? finished : current).push_back(name);
    }
    // By the number behind the time.
    std::sort(finished.begin(), finished.end(), [](const auto& a, const auto& b) { return a.substr(a.find("Z-")) < b.substr(b.find("Z-")); });
    finished.insert(finished.end(), current.begin(), current.end());
    std::string text;
    for (const auto& name : finished) {
        const auto content = *disk.content(folder + "/" + name);
        text += setup_.format.compression == Compression::zstd ? decompressed(content) : content;
    }
    std::vector<std::string> result;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        result.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return result;
}

std::optional<std::string> SinkWorld::compare(const std::map<int32_t, int64_t>& next) const {
    std::map<int32_t, std::vector<std::string>> found;
    for (auto line : lines()) {
        if (setup_.format.framing == Framing::ndjson) {
            const auto json = nlohmann::json::parse(line, nullptr, false);
            if (!json.is_object()) return "not JSON: " + line;
            line = json["value"].get<std::string>();
        }
        found[std::atoi(line.c_str())].push_back(line);
    }
    for (const auto& [partition, position] : next) {
        auto& lines_of = found[partition];
        size_t n = 0;
        for (int64_t offset = 0; offset < position; offset++) {
            if (!exists(offset)) continue;
            const auto wanted = value_of(partition, offset);
            if (n >= lines_of.size()) return "missing: " + wanted;
            if (lines_of[n] != wanted) return "found " + lines_of[n] + " in place of " + wanted;
            n++;
        }
        if (n < lines_of.size()) return "beyond the position " + std::to_string(position) + ": " + lines_of[n];
    }
    return std::nullopt;
}

std::optional<std::string> SinkWorld::audit() {
    auto sink = make_sink();
    std::map<int32_t, int64_t> next;
    std::vector<std::shared_ptr<Assignment>> all;
    for (int32_t partition = 0; partition < setup_.partitions; partition++) {
        all.push_back(make_assignment(partition, setup_.group));
        const auto position = open_persistently(*sink, all.back());
        if (!position) return "open: " + position.error().reason;
        next[partition] = *position ? (*position)->next_offset : 0;
        if (next[partition] < acks.durable_below(partition)) {
            return "position " + std::to_string(next[partition]) + " is below " + std::to_string(acks.durable_below(partition)) +
                   ", which was acknowledged";
        }
    }
    auto wrong = compare(next);
    for (const auto& assignment : all) sink->close(*assignment);
    return wrong;
}

std::optional<std::string> SinkWorld::is_complete() {
    std::map<int32_t, int64_t> next;
    for (int32_t partition = 0; partition < setup_.partitions; partition++) next[partition] = setup_.records;
    return compare(next);
}

}  // namespace fetcher
