#include "engine/batch.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "engine/assignment.h"
#include "engine/result.h"

namespace fetcher {

void Batch::begin(const std::shared_ptr<Assignment>& assignment, int64_t first_offset, const LeaderEpoch& before) {
    assignment_ = assignment;
    first_offset_ = next_offset_ = first_offset;
    epochs.before = before;
    epochs.starts.clear();
    values_.clear();
    sides_.clear();
    index_.clear();
}

void Batch::copy_without(const Batch& from, const std::vector<uint32_t>& left_out) {
    begin(from.assignment_, from.first_offset_);
    epochs = from.epochs;
    auto skip = left_out.begin();
    for (uint32_t i = 0; i < from.size(); i++) {
        if (skip != left_out.end() && *skip == i) {
            ++skip;
            continue;
        }
        add(from.record(i));
    }
    set_next_offset(from.next_offset_);
}

LeaderEpoch Batch::leader_epoch(int64_t position) const {
    const size_t below = position >= next_offset_ ? index_.size() : lower_bound(position);
    if (below == 0) return epochs.before;
    const int64_t last = index_[below - 1].offset;
    for (auto start = epochs.starts.rbegin(); start != epochs.starts.rend(); ++start)
        if (start->from <= last) return start->number < 0 ? LeaderEpoch{} : LeaderEpoch{start->number, last + 1};
    return {};
}

void Batch::end() { assignment_.reset(); }

int32_t Batch::partition() const { return assignment_->partition; }

void Batch::reserve(size_t value_bytes, size_t records) {
    values_.reserve(value_bytes);
    index_.reserve(records);
}

void Batch::add(int64_t offset, int64_t timestamp_ms, std::optional<std::string_view> value) {
    FETCHER_INVARIANT(offset >= next_offset_, "records of a batch come in offset order");
    const size_t bytes = value ? value->size() : 0;
    FETCHER_INVARIANT(values_.size() + bytes + 1 <= std::numeric_limits<uint32_t>::max(), "a batch is smaller than 4 GiB");
    index_.push_back({offset, timestamp_ms, static_cast<uint32_t>(values_.size()), value ? static_cast<int32_t>(bytes) : -1,
                      static_cast<uint32_t>(sides_.size()), -1, 0});
    char* at = values_.extend(bytes + 1);
    if (bytes > 0) std::memcpy(at, value->data(), bytes);
    at[bytes] = '\n';
    next_offset_ = offset + 1;
}

void Batch::add(const Record& record) {
    add(record.offset(), record.timestamp_ms(), record.value());
    add_key(record.key());
    record.for_each_header([&](const Header& header) { add_header(header.name, header.value); });
}

void Batch::add_key(std::optional<std::string_view> key) {
    if (!key) return;
    index_.back().key_bytes = static_cast<int32_t>(key->size());
    if (!key->empty()) std::memcpy(sides_.extend(key->size()), key->data(), key->size());
}

void Batch::add_header(std::string_view name, std::optional<std::string_view> value) {
    const auto name_bytes = static_cast<uint32_t>(name.size());
    const int32_t value_bytes = value ? static_cast<int32_t>(value->size()) : -1;
    char* at = sides_.extend(8 + name.size() + (value ? value->size() : 0));
    std::memcpy(at, &name_bytes, 4);
    std::memcpy(at + 4, &value_bytes, 4);
    std::memcpy(at + 8, name.data(), name.size());
    if (value && !value->empty()) std::memcpy(at + 8 + name.size(), value->data(), value->size());
    index_.back().headers++;
}

void Batch::set_next_offset(int64_t next_offset) {
    FETCHER_INVARIANT(next_offset >= next_offset_, "a batch's position never goes back");
    next_offset_ = next_offset;
}

size_t Batch::lower_bound(int64_t offset) const {
    if (offset <= first_offset_) return 0;  // the common case: nothing to skip
    const auto it = std::lower_bound(index_.begin(), index_.end(), offset, [](const Entry& e, int64_t o) { return e.offset < o; });
    return static_cast<size_t>(it - index_.begin());
}

std::string_view Batch::framed_values(size_t first) const {
    if (first >= index_.size()) return {};
    const size_t begin = index_[first].value_begin;
    return {values_.data() + begin, values_.size() - begin};
}

size_t Batch::bytes(size_t first, size_t end, bool with_sides) const {
    if (first >= end) return 0;
    const Entry& begin = index_[first];
    const bool last = end == index_.size();
    const size_t values = (last ? values_.size() : index_[end].value_begin) - begin.value_begin;
    return with_sides ? values + (last ? sides_.size() : index_[end].side_begin) - begin.side_begin : values;
}

namespace detail {

const char* read_header(const char* at, Header& into) {
    uint32_t name_bytes;
    int32_t value_bytes;
    std::memcpy(&name_bytes, at, 4);
    std::memcpy(&value_bytes, at + 4, 4);
    into.name = {at + 8, name_bytes};
    const char* value = at + 8 + name_bytes;
    if (value_bytes < 0) {
        into.value = std::nullopt;
        return value;
    }
    into.value = std::string_view(value, static_cast<size_t>(value_bytes));
    return value + value_bytes;
}

}  // namespace detail
}  // namespace fetcher
