#include "processors/row_block.h"

#include <algorithm>

namespace fetcher {

uint32_t RowBlock::move_index(const Assignment& assignment) const {
    uint32_t i = 0;
    while (i < moves_.size() && moves_[i].assignment.get() != &assignment) i++;
    return i;
}

uint32_t RowBlock::move_of(const std::shared_ptr<Assignment>& assignment, std::optional<int64_t> from, const std::string& topic_id) {
    const uint32_t index = move_index(*assignment);
    if (index == moves_.size()) moves_.push_back({assignment, from, from.value_or(0), topic_id, {}, false});
    return index;
}

std::string_view RowBlock::bytes_of(uint32_t row) const {
    const size_t end = row + 1 < rows_.size() ? rows_[row + 1].begin : bytes_.size();
    return bytes_.view().substr(rows_[row].begin, end - rows_[row].begin);
}

template <class RowAt, class Visit>
void RowBlock::visit_rows_to_write(size_t count, RowAt&& row_at, Visit&& visit) const {
    std::vector<bool> seen;
    for (size_t n = count; n-- > 0;) {
        const uint32_t index = row_at(n);
        const Row& row = rows_[index];
        if (moves_[row.move].dropped || (index < left_out_.size() && left_out_[index])) continue;
        if (row.key_id != kNoKey) {
            if (seen.size() <= row.key_id) seen.resize(row.key_id + 1U);
            if (seen[row.key_id]) continue;
            seen[row.key_id] = true;
        }
        visit(index);
    }
}

template <class RowAt>
std::vector<std::string_view> RowBlock::collect(size_t count, RowAt&& row_at) const {
    std::vector<std::string_view> pieces;  // from the last to the first
    visit_rows_to_write(count, row_at, [&](uint32_t index) {
        const auto bytes = bytes_of(index);
        if (!pieces.empty() && bytes.data() + bytes.size() == pieces.back().data())
            pieces.back() = {bytes.data(), bytes.size() + pieces.back().size()};
        else pieces.push_back(bytes);
    });
    std::ranges::reverse(pieces);
    return pieces;
}

std::vector<uint32_t> RowBlock::rows_to_write() const {
    std::vector<uint32_t> rows;
    visit_rows_to_write(rows_in_step(), [this](size_t n) { return static_cast<uint32_t>(step_begin_ + n); }, [&](uint32_t index) { rows.push_back(index); });
    std::ranges::reverse(rows);
    return rows;
}

std::vector<std::string_view> RowBlock::pieces(const std::vector<uint32_t>& rows) const {
    return collect(rows.size(), [&](size_t n) { return rows[n]; });
}

std::vector<std::string_view> RowBlock::pieces() const {
    return collect(rows_in_step(), [this](size_t n) { return static_cast<uint32_t>(step_begin_ + n); });
}

// --- step by step ------------------------------------------------------------------------------------------------------------

void RowBlock::limit(size_t rows) {
    step_end_ = rows < rows_.size() - step_begin_ ? step_begin_ + rows : std::numeric_limits<size_t>::max();
}

std::vector<int64_t> RowBlock::step_ends() const {
    std::vector<int64_t> ends;
    for (const auto& move : moves_) ends.push_back(move.to);
    for (size_t row = rows_.size(); row-- > step_end();) ends[rows_[row].move] = std::min(ends[rows_[row].move], rows_[row].offset);
    // Rows that are skipped lie behind the step too: a position never goes back to them.
    for (size_t m = 0; m < ends.size(); m++) ends[m] = std::max(ends[m], moves_[m].from.value_or(ends[m]));
    return ends;
}

void RowBlock::step() {
    const auto ends = step_ends();
    for (size_t m = 0; m < moves_.size(); m++) {
        moves_[m].from = ends[m];
        moves_[m].dropped |= ends[m] >= moves_[m].to;
    }
    step_begin_ = step_end();
}

// --- refused records ---------------------------------------------------------------------------------------------------------

void RowBlock::hold(const std::shared_ptr<const Batch>& batch) {
    if (batch && (held_.empty() || held_.back() != batch)) held_.push_back(batch);
}

void RowBlock::leave_out(uint32_t row) {
    if (left_out_.size() <= row) left_out_.resize(row + 1U);
    left_out_[row] = true;
}

void RowBlock::refuse_row(uint32_t row, std::string why) {
    leave_out(row);
    refuse(rows_[row].move, rows_[row].offset, std::move(why));
}

bool RowBlock::is_of(const RefusedRecord& record, const Batch& batch) const {
    return moves_[record.move].assignment == batch.assignment_ptr() && record.offset >= batch.first_offset() && record.offset < batch.next_offset();
}

std::vector<BadRecord> RowBlock::refused_of(const Batch& batch) const {
    std::vector<BadRecord> bad;
    for (const auto& record : refused_)
        if (is_open(record) && is_of(record, batch)) bad.push_back({static_cast<uint32_t>(batch.lower_bound(record.offset)), record.why});
    std::ranges::sort(bad, {}, &BadRecord::index);
    return bad;
}

void RowBlock::are_dead_letters(const Batch& batch) {
    for (auto& record : refused_) record.is_dead_letter |= is_open(record) && is_of(record, batch);
}

std::string RowBlock::end_before_refused() {
    std::string first;
    for (uint32_t m = 0; m < moves_.size(); m++) {
        const RefusedRecord* end = nullptr;
        for (const auto& record : refused_)
            if (record.move == m && is_open(record) && (!end || record.offset < end->offset)) end = &record;
        if (!end) continue;
        if (first.empty())
            first = "the record at partition " + std::to_string(moves_[m].assignment->partition) + " offset " + std::to_string(end->offset) + " was refused by " + end->why;
        const int64_t to = moves_[m].to = end->offset;
        forget(m, [&](int64_t offset) { return offset >= to; });
    }
    return first;
}

void RowBlock::skip_to(uint32_t move, int64_t next) {
    moves_[move].from = next;
    moves_[move].dropped |= next >= moves_[move].to;
    forget(move, [&](int64_t offset) { return offset < next; });
}

template <class Which>
void RowBlock::forget(uint32_t move, Which&& which) {
    for (uint32_t row = 0; row < rows_.size(); row++)
        if (rows_[row].move == move && which(rows_[row].offset)) leave_out(row);
    std::erase_if(refused_, [&](const auto& record) { return record.move == move && which(record.offset); });
}

// -----------------------------------------------------------------------------------------------------------------------------

bool RowBlock::drop_revoked() {
    bool left = false;
    for (auto& move : moves_) {
        move.dropped |= move.assignment->revoked.load(std::memory_order_acquire);
        left |= !move.dropped;
    }
    return left;
}

void RowBlock::clear(size_t keep_capacity_bytes) {
    bytes_.clear();
    bytes_.shrink(keep_capacity_bytes);
    rows_.clear();
    moves_.clear();
    step_begin_ = 0;
    step_end_ = std::numeric_limits<size_t>::max();
    left_out_.clear();
    refused_.clear();
    held_.clear();
}

}  // namespace fetcher
