#include "processors/database_sync.h"

#include <algorithm>

namespace fetcher {
namespace {

constexpr std::chrono::milliseconds kLook{500};       // how soon trouble of a writer is told
constexpr std::chrono::milliseconds kLookForRoom{50};  // how soon batches that wait are handed over once there is room
constexpr std::chrono::seconds kLongestOpen{8};        // whatever the server does
constexpr std::chrono::milliseconds kQuestions{2000};  // how long the connection for opening is kept

Error as_error(const DatabaseFailure& failure) {
    const bool fatal = failure.kind == DatabaseFailure::Kind::fatal || failure.kind == DatabaseFailure::Kind::row;
    std::string words = failure.words;
    if (const auto remedy = remedy_for(failure.sqlstate); !remedy.empty() && words.find(remedy) == std::string::npos) words += "; " + remedy;
    return {fatal ? ErrorKind::fatal : ErrorKind::transient, std::move(words)};
}

}  // namespace

DatabaseSync::DatabaseSync(DatabaseSyncOptions options, ProcessorOwner owner, const ProcessorEnvironment& environment)
    : options_(std::move(options)), owner_(std::move(owner)),
      connector_(options_.db_dsn, environment.secrets_dir, environment.certificates_dir) {}

RecordParts DatabaseSync::parts() const {
    const auto uses = [&](ColumnSource::Part part) { return std::ranges::any_of(options_.columns, [&](const auto& c) { return c.source.part == part; }); };
    return {.keys = uses(ColumnSource::Part::key), .headers = uses(ColumnSource::Part::headers)};
}

void DatabaseSync::bind(Acks& acks) {
    acks_ = &acks;
    holds_ = acks.keeps_refused();
}

Result<std::optional<Position>> DatabaseSync::open(const std::shared_ptr<Assignment>& assignment) {
    const int32_t partition = assignment->partition;
    if (!lanes_.empty() && lane_of(partition).writer->holds(partition))
        return transient("partition " + std::to_string(partition) + ": what was sent to PostgreSQL before the partition left is still being written");
    opening_.follow(&assignment->closing);
    auto standing = ask(*assignment);
    opening_.follow(nullptr);
    if (!standing) {
        questions_.reset();
        return tl::unexpected<Error>(as_error(standing.error()));
    }
    partitions_[partition] = {assignment, standing->topic_id, standing->stored, std::nullopt};
    lane_of(partition).writer->watch(assignment, standing->topic_id, standing->stored);
    close_questions_at_ = Clock::now() + kQuestions;
    return std::move(standing->position);
}

DatabaseResult<Standing> DatabaseSync::ask(const Assignment& assignment) {
    if (auto ready = set_up(); !ready) return failed(std::move(ready.error()));
    return find_standing(*questions_, *table_, owner_, assignment);
}

// Connects, and the first time sees to the table and starts the writers.
DatabaseResult<void> DatabaseSync::set_up() {
    const auto deadline = Clock::now() + kLongestOpen;
    if (!questions_) {
        auto connection = connector_.connect(opening_, kLongestOpen);
        if (!connection) return failed(std::move(connection.error()));
        questions_ = std::move(*connection);
    }
    questions_->give_up_at(deadline);
    if (table_) return {};
    auto table = DatabaseTable::prepare(*questions_, options_);
    if (!table) return failed(std::move(table.error()));
    table_ = std::move(*table);
    for (size_t i = 0; i < options_.workers; i++) {
        lanes_.push_back({{}, std::make_unique<RowEncoder>(table_->shape),
                          std::make_unique<DatabaseWriter>(room_, connector_, *acks_, BlockTransaction(*table_, owner_, options_.synchronous_commit),
                                                           BlockLimits{options_.max_batch_records, options_.max_batch_bytes}, owner_.retry)});
    }
    return {};
}

Outcome DatabaseSync::write(const Batch& batch, size_t first) {
    const auto found = partitions_.find(batch.partition());
    FETCHER_INVARIANT(found != partitions_.end() && found->second.assignment == batch.assignment_ptr(), "a batch is of a partition that is open");
    Lane& lane = lane_of(batch.partition());
    if (holds_) return hold(lane, batch, first);
    std::optional<BadRecord> bad;
    if (auto obstacle = hand_over(found->second, lane, batch, first, nullptr, bad)) return *obstacle;
    if (!bad) return Outcome::accepted();
    if (auto obstacle = lane.writer->drain()) return *obstacle;  // the good ones before it come first
    return Outcome::bad_records({*bad});
}

Outcome DatabaseSync::hold(Lane& lane, const Batch& batch, size_t first) {
    lane.waiting.push_back({HeldBatch(&batch, [acks = acks_](const Batch* done) { acks->give_back(*done); }), first});
    catch_up(lane);
    return Outcome::held();
}

// Hands over what waits, as far as there is room.
std::optional<Outcome> DatabaseSync::catch_up(Lane& lane) {
    while (!lane.waiting.empty()) {
        const auto [batch, first] = lane.waiting.front();
        std::optional<BadRecord> none;  // they go along
        if (!batch->assignment().revoked)
            if (auto obstacle = hand_over(partitions_.at(batch->partition()), lane, *batch, first, batch, none)) return obstacle;
        lane.waiting.pop_front();
    }
    return std::nullopt;
}

// nullopt: the batch has been handed over, up to the bad record if there is one. Otherwise why there is no room.
std::optional<Outcome> DatabaseSync::hand_over(Partition& partition, Lane& lane, const Batch& batch, size_t first, const HeldBatch& held,
                                               std::optional<BadRecord>& bad) {
    while (!bad && partition.appended < batch.next_offset()) {
        auto obstacle = lane.writer->fill(batch.assignment(), [&](RowBlock& block) {
            // After a retry a part of the batch is on its way already.
            const size_t from = partition.appended ? std::max(first, batch.lower_bound(*partition.appended)) : first;
            bad = append(partition, lane, block, batch, from, held);
        });
        if (obstacle) return obstacle;
    }
    return std::nullopt;
}

// Hands over records from `from` on until the block is full, the batch ends, or one cannot be encoded. Of a batch that is held those go along.
std::optional<BadRecord> DatabaseSync::append(Partition& partition, Lane& lane, RowBlock& block, const Batch& batch, size_t from, const HeldBatch& held) {
    if (block.empty()) lane.encoder->begin_block();
    const uint32_t move = block.move_index(*partition.assignment);
    std::optional<BadRecord> bad;
    size_t i = from;
    for (; i < batch.size() && !bad && !lane.writer->is_full(block); i++) {
        auto problem = lane.encoder->append(batch.record(i), batch.assignment(), move, block);
        if (problem && held) block.refuse(move, batch.record(i).offset(), std::move(*problem));
        else if (problem) bad = BadRecord{static_cast<uint32_t>(i), std::move(*problem)};
    }
    const int64_t to = bad ? batch.record(bad->index).offset() : i < batch.size() ? batch.record(i).offset() : batch.next_offset();
    if (partition.appended && to <= *partition.appended) return bad;  // the bad one alone, once more
    auto& step = block.move(block.move_of(partition.assignment, partition.stored, partition.topic_id));
    step.to = to;
    step.last = batch.leader_epoch(to);
    block.hold(held);
    partition.stored = partition.appended = to;
    return bad;
}

Outcome DatabaseSync::flush() {
    Outcome worst;
    for (auto& lane : lanes_) {
        auto obstacle = catch_up(lane);
        if (!obstacle || obstacle->kind == Outcome::Kind::accepted) obstacle = lane.writer->drain();
        if (obstacle && worst.kind != Outcome::Kind::fatal) worst = std::move(*obstacle);
    }
    return worst;
}

void DatabaseSync::close(const Assignment& assignment) {
    partitions_.erase(assignment.partition);
    for (auto& lane : lanes_) std::erase_if(lane.waiting, [&](const Waiting& waiting) { return &waiting.batch->assignment() == &assignment; });
}

std::string DatabaseSync::trouble() const {
    for (const auto& lane : lanes_)
        if (auto words = lane.writer->trouble(); !words.empty()) return words;
    return {};
}

std::optional<Clock::time_point> DatabaseSync::wake_at() const {
    std::optional<Clock::time_point> at;
    if (questions_) at = close_questions_at_;
    const bool busy = told_trouble_ || std::ranges::any_of(lanes_, [](const auto& lane) { return !lane.writer->idle() || !lane.waiting.empty(); });
    // Not moved by every batch: the next look is due however much comes.
    if (busy) at = at ? std::min(*at, next_look_) : next_look_;
    return at;
}

Outcome DatabaseSync::on_timer() {
    const auto now = Clock::now();
    if (questions_ && now >= close_questions_at_) questions_.reset();
    for (auto& lane : lanes_) catch_up(lane);
    const bool waits = std::ranges::any_of(lanes_, [](const auto& lane) { return !lane.waiting.empty(); });
    next_look_ = Clock::now() + (waits ? kLookForRoom : kLook);
    const auto words = trouble();
    told_trouble_ = !words.empty();
    return told_trouble_ ? Outcome::retry(words) : Outcome::accepted();
}

}  // namespace fetcher
