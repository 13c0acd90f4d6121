// RowBlock: encoded rows of one transaction and how far they take each partition. It is kept until PostgreSQL has it, so whatever goes wrong
// the same bytes are sent again, whole or in parts.
// Thread: one owner at a time
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/assignment.h"
#include "processors/byte_buffer.h"

namespace fetcher {

// A partition's step forward: its position row goes from `from` to `to`.
struct PositionMove {
    std::shared_ptr<Assignment> assignment;
    std::optional<int64_t> from;  // nullopt: there is no row yet
    int64_t to = 0;
    bool dropped = false;  // given up: neither rows nor position are written
};

class RowBlock {
  public:
    static constexpr uint32_t kNoKey = 0xFFFFFFFF;

    struct Row {
        size_t begin;     // in bytes()
        int64_t offset;   // of its record
        uint32_t move;    // index
        uint32_t key_id;  // the same number, the same key; kNoKey: keys do not matter
    };

    // Where the next row's bytes go.
    ByteBuffer& bytes() { return bytes_; }
    // The row whose bytes begin at `begin` is complete.
    void add_row(size_t begin, int64_t offset, uint32_t move, uint32_t key_id) { rows_.push_back({begin, offset, move, key_id}); }
    // The index that the move of the assignment's partition has, or will have.
    uint32_t move_index(const Assignment& assignment) const;
    // The move of the assignment's partition, made if it is new.
    uint32_t move_of(const std::shared_ptr<Assignment>& assignment, std::optional<int64_t> from);
    PositionMove& move(uint32_t index) { return moves_[index]; }

    // The bytes of those of the rows that shall be written, as contiguous pieces: none of a dropped move, and of each key only the last.
    std::vector<std::string_view> pieces(const std::vector<uint32_t>& rows) const;
    std::vector<std::string_view> pieces() const;  // of all rows

    // Drops the moves whose partitions are not ours any more. False: nothing is left.
    bool drop_revoked();

    const std::vector<Row>& rows() const { return rows_; }
    std::vector<PositionMove>& moves() { return moves_; }
    const std::vector<PositionMove>& moves() const { return moves_; }
    size_t size_bytes() const { return bytes_.size(); }
    bool empty() const { return moves_.empty(); }
    void clear();

  private:
    std::string_view bytes_of(uint32_t row) const;
    template <class RowAt>
    std::vector<std::string_view> collect(size_t count, RowAt&& row_at) const;

    ByteBuffer bytes_;
    std::vector<Row> rows_;
    std::vector<PositionMove> moves_;
};

}  // namespace fetcher
