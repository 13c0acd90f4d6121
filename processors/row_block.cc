#include "processors/row_block.h"

#include <algorithm>

namespace fetcher {
namespace {

constexpr size_t kKeptCapacityBytes = size_t{16} << 20;

}  // namespace

uint32_t RowBlock::move_index(const Assignment& assignment) const {
    uint32_t i = 0;
    while (i < moves_.size() && moves_[i].assignment.get() != &assignment) i++;
    return i;
}

uint32_t RowBlock::move_of(const std::shared_ptr<Assignment>& assignment, std::optional<int64_t> from) {
    const uint32_t index = move_index(*assignment);
    if (index == moves_.size()) moves_.push_back({assignment, from, from.value_or(0), false});
    return index;
}

std::string_view RowBlock::bytes_of(uint32_t row) const {
    const size_t end = row + 1 < rows_.size() ? rows_[row + 1].begin : bytes_.size();
    return bytes_.view().substr(rows_[row].begin, end - rows_[row].begin);
}

template <class RowAt>
std::vector<std::string_view> RowBlock::collect(size_t count, RowAt&& row_at) const {
    std::vector<std::string_view> pieces;  // from the last to the first
    std::vector<bool> seen;
    for (size_t n = count; n-- > 0;) {
        const uint32_t index = row_at(n);
        const Row& row = rows_[index];
        if (moves_[row.move].dropped) continue;
        if (row.key_id != kNoKey) {
            if (seen.size() <= row.key_id) seen.resize(row.key_id + 1U);
            if (seen[row.key_id]) continue;
            seen[row.key_id] = true;
        }
        const auto bytes = bytes_of(index);
        if (!pieces.empty() && bytes.data() + bytes.size() == pieces.back().data())
            pieces.back() = {bytes.data(), bytes.size() + pieces.back().size()};
        else pieces.push_back(bytes);
    }
    std::ranges::reverse(pieces);
    return pieces;
}

std::vector<std::string_view> RowBlock::pieces(const std::vector<uint32_t>& rows) const {
    return collect(rows.size(), [&](size_t n) { return rows[n]; });
}

std::vector<std::string_view> RowBlock::pieces() const {
    return collect(rows_.size(), [](size_t n) { return static_cast<uint32_t>(n); });
}

bool RowBlock::drop_revoked() {
    bool left = false;
    for (auto& move : moves_) {
        move.dropped |= move.assignment->revoked.load(std::memory_order_acquire);
        left |= !move.dropped;
    }
    return left;
}

void RowBlock::clear() {
    bytes_.clear();
    bytes_.shrink(kKeptCapacityBytes);
    rows_.clear();
    moves_.clear();
}

}  // namespace fetcher
