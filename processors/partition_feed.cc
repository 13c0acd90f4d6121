#include "processors/partition_feed.h"

#include <algorithm>
#include <ranges>
#include <utility>

#include "engine/result.h"
#include "processors/range_memory.h"

namespace fetcher {
namespace {

using State = RecordRange::State;

// A remembered range is cut as it was, unless its records do not come: then something has removed them. Longer than a broker is away that starts anew.
constexpr std::chrono::seconds kPatienceForRemembered{30};
// No range was larger, but for one of a single record.
constexpr size_t kMostRememberedBytes = size_t{4} << 20;

void append(Batch& to, const Batch& from, uint32_t first) {
    for (uint32_t i = first; i < from.size(); i++) to.add(from.record(i));
    to.set_next_offset(from.next_offset());
}

RecordRange half(const std::vector<RecordRange::Piece>& pieces, size_t begin, size_t end) {
    RecordRange range;
    size_t at = 0;
    for (const auto& piece : pieces) {
        const size_t count = piece.end - piece.first;
        const size_t from = std::max(begin, at), to = std::min(end, at + count);
        if (from < to) {
            range.pieces.push_back({piece.batch, static_cast<uint32_t>(piece.first + from - at), static_cast<uint32_t>(piece.first + to - at)});
        }
        at += count;
    }
    range.records = end - begin;
    range.first_offset = range.pieces.front().batch->record(range.pieces.front().first).offset();
    const auto& last = range.pieces.back();
    range.last_offset = last.batch->record(last.end - 1).offset();
    range.next_offset = last.end == last.batch->size() ? last.batch->next_offset() : last.batch->record(last.end).offset();
    return range;
}

}  // namespace

void PartitionFeed::add(const Batch& batch, size_t first, TimePoint now) {
    if (position_ < 0) position_ = first < batch.size() ? batch.record(first).offset() : batch.first_offset();
    batches_.push_back({&batch, static_cast<uint32_t>(first), now, batch.next_offset()});
    records_left_ += batch.size() - first;
    bytes_left_ += batch.bytes(first, batch.size(), limits_.sides);
    skip_cut_batches();
    forget_passed();
}

void PartitionFeed::skip_cut_batches() {
    while (cursor_ < batches_.size() && batches_[cursor_].next == batches_[cursor_].batch->size()) cursor_++;
}

bool PartitionFeed::may_cut() const {
    if (records_left_ == 0) return false;
    return limits_.ordered ? ranges_.empty() : ranges_.size() < RangeMemory::kMostEnds;
}

// Whether the next range is a remembered one and not all of it is there.
bool PartitionFeed::lacks_remembered() const {
    return records_left_ > 0 && !remembered_.empty() && batches_.back().batch->next_offset() < remembered_.front();
}

// Ends that lie before what is to be cut; and all, if there is more than a range can have been.
void PartitionFeed::forget_passed() {
    if (records_left_ == 0) return;
    const int64_t begin = batches_[cursor_].batch->record(batches_[cursor_].next).offset();
    while (!remembered_.empty() && remembered_.front() <= begin) remembered_.pop_front();
    if (lacks_remembered() && bytes_left_ > kMostRememberedBytes) remembered_.clear();
}

// When the next range may be cut at the latest. Only with records left.
PartitionFeed::TimePoint PartitionFeed::cut_at() const {
    if (lacks_remembered()) return batches_.back().arrived + kPatienceForRemembered;
    const TimePoint arrived = batches_[cursor_].arrived;
    return is_full() || !remembered_.empty() ? arrived : arrived + limits_.linger;
}

RecordRange* PartitionFeed::take(TimePoint now, bool hurry) {
    for (auto& range : ranges_) {
        if (range.state == State::waiting && range.due <= now) {
            range.state = State::sending;
            return &range;
        }
        if (limits_.ordered) return nullptr;  // whatever comes behind waits for it
    }
    if (!may_cut() || ((!hurry || lacks_remembered()) && cut_at() > now)) return nullptr;
    return cut();
}

PartitionFeed::TimePoint PartitionFeed::ready_at(bool hurry) const {
    TimePoint at = TimePoint::max();
    for (const auto& range : ranges_) {
        if (range.state == State::waiting) at = std::min(at, range.due);
        if (limits_.ordered) return at;
    }
    if (!may_cut()) return at;
    return hurry && !lacks_remembered() ? TimePoint::min() : std::min(at, cut_at());
}

// Where the range ends that has `records` of `bytes` already when it comes to this batch. stop: a remembered end; -1: by the limits.
uint32_t PartitionFeed::end_of_range(const Held& held, int64_t stop, size_t records, size_t bytes) const {
    const Batch& batch = *held.batch;
    if (stop >= 0) return std::max(held.next, static_cast<uint32_t>(batch.lower_bound(stop)));
    size_t fits = held.next + std::min(limits_.max_records - records, batch.size() - held.next);
    if (bytes + batch.bytes(held.next, fits, limits_.sides) > limits_.max_bytes) {
        const auto ends = std::views::iota(size_t{held.next}, fits);
        fits = *std::ranges::partition_point(ends, [&](size_t end) { return bytes + batch.bytes(held.next, end + 1, limits_.sides) <= limits_.max_bytes; });
        if (records == 0 && fits == held.next) fits++;  // one record always fits
    }
    return static_cast<uint32_t>(fits);
}

RecordRange* PartitionFeed::cut() {
    if (lacks_remembered()) remembered_.clear();  // nobody waits any longer
    const bool as_before = !remembered_.empty();
    const int64_t stop = as_before ? remembered_.front() : -1;
    if (as_before) remembered_.pop_front();

    std::vector<RecordRange::Piece> pieces;
    size_t records = 0, bytes = 0;
    bool full = false;
    while (!full && cursor_ < batches_.size()) {
        Held& held = batches_[cursor_];
        const uint32_t first = std::exchange(held.next, end_of_range(held, stop, records, bytes));
        records += held.next - first;
        bytes += held.batch->bytes(first, held.next, limits_.sides);
        if (held.next > first) pieces.push_back({held.batch, first, held.next});
        full = held.next < held.batch->size();
        if (!full) cursor_++;
    }
    records_left_ -= records;
    bytes_left_ -= bytes;
    ranges_.push_back(half(pieces, 0, records));
    ranges_.back().state = State::sending;
    skip_cut_batches();
    forget_passed();
    return &ranges_.back();
}

void PartitionFeed::retry(RecordRange& range, TimePoint due) {
    range.state = State::waiting;
    range.due = due;
    range.tries++;
}

bool PartitionFeed::split(RecordRange& range) {
    if (range.records < 2) return false;
    const auto at = std::ranges::find_if(ranges_, [&](const RecordRange& each) { return &each == &range; });
    FETCHER_INVARIANT(at != ranges_.end(), "a range that is split is one of this partition");
    RecordRange first = half(range.pieces, 0, range.records / 2);
    RecordRange second = half(range.pieces, range.records / 2, range.records);
    *at = std::move(second);
    ranges_.insert(at, std::move(first));
    return true;
}

bool PartitionFeed::settle(const GiveBack& give_back) {
    const int64_t before = position_;
    while (!ranges_.empty() && ranges_.front().state == State::done) {
        position_ = ranges_.front().next_offset;
        ranges_.pop_front();
    }
    skip_cut_batches();
    // Gaps behind the last range.
    if (ranges_.empty() && cursor_ > 0) position_ = std::max(position_, batches_[cursor_ - 1].next_offset);
    while (cursor_ > 0 && batches_.front().next_offset <= position_) {
        const Held done = std::move(batches_.front());
        batches_.pop_front();
        cursor_--;
        give(done, give_back);
    }
    if (lacks_remembered()) copy_uncut(give_back);
    return position_ != before;
}

void PartitionFeed::give(const Held& held, const GiveBack& give_back) {
    if (!held.own) give_back(*held.batch);
}

bool PartitionFeed::is_under_way(const Batch& batch) const {
    return std::ranges::any_of(ranges_, [&](const RecordRange& range) {
        return std::ranges::any_of(range.pieces, [&](const RecordRange::Piece& piece) { return piece.batch == &batch; });
    });
}

// Gathers what is in no range yet in one batch of our own: the engine gives no more than so many, and may need them back to read on.
void PartitionFeed::copy_uncut(const GiveBack& give_back) {
    if (batches_[cursor_].own && cursor_ + 1 == batches_.size()) return;
    Held kept{nullptr, 0, batches_.back().arrived, batches_.back().next_offset};
    if (batches_[cursor_].own && batches_[cursor_].next == 0) {
        kept.own = std::move(batches_[cursor_].own);
        batches_.erase(batches_.begin() + static_cast<std::ptrdiff_t>(cursor_));
    } else {
        kept.own = std::make_unique<Batch>();
        kept.own->begin(batches_[cursor_].batch->assignment_ptr(), batches_[cursor_].batch->record(batches_[cursor_].next).offset());
    }
    for (size_t i = cursor_; i < batches_.size();) {
        Held& held = batches_[i];
        const int64_t begin = held.next < held.batch->size() ? held.batch->record(held.next).offset() : held.next_offset;
        append(*kept.own, *held.batch, std::exchange(held.next, static_cast<uint32_t>(held.batch->size())));
        if (is_under_way(*held.batch)) {  // only the first one can be: it stays for the ranges that it has
            held.next_offset = begin;
            cursor_ = ++i;
            continue;
        }
        give(held, give_back);
        batches_.erase(batches_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    kept.batch = kept.own.get();
    batches_.push_back(std::move(kept));
}

std::vector<int64_t> PartitionFeed::ends_under_way() const {
    std::vector<int64_t> ends;
    ends.reserve(std::min(ranges_.size(), RangeMemory::kMostEnds));
    for (const auto& range : ranges_) {
        if (ends.size() == RangeMemory::kMostEnds) break;
        ends.push_back(range.last_offset + 1);
    }
    // Not cut yet, and still to be cut as they were, whoever does it.
    for (const int64_t end : remembered_)
        if (end > position_ && ends.size() < RangeMemory::kMostEnds) ends.push_back(end);
    return ends;
}

void PartitionFeed::drop(const GiveBack& give_back) {
    ranges_.clear();
    for (const auto& held : batches_) give(held, give_back);
    batches_.clear();
    cursor_ = records_left_ = bytes_left_ = 0;
}

}  // namespace fetcher
