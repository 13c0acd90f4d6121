// RowBlock: encoded rows of one transaction and how far they take each partition. It is kept until PostgreSQL has it, so whatever goes wrong
// the same bytes are sent again, whole or in parts.
// Thread: one owner at a time
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/processor.h"
#include "processors/byte_buffer.h"

namespace fetcher {

// A partition's step forward: its position row goes from `from` to `to`.
struct PositionMove {
    std::shared_ptr<Assignment> assignment;
    std::optional<int64_t> from;  // nullopt: there is no row yet
    int64_t to = 0;
    std::string topic_id;  // of its row
    LeaderEpoch last{};    // of the last record below `to`
    bool dropped = false;  // given up: neither rows nor position are written
};

// A record of a block that is not to be written: it could not be encoded, or PostgreSQL refuses it.
struct RefusedRecord {
    uint32_t move = 0;
    int64_t offset = 0;
    std::string why;
    bool is_dead_letter = false;
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
    uint32_t move_of(const std::shared_ptr<Assignment>& assignment, std::optional<int64_t> from, const std::string& topic_id);
    PositionMove& move(uint32_t index) { return moves_[index]; }

    // The rows that shall be written, ascending: none that is refused or of a dropped move, and of each key only the last.
    std::vector<uint32_t> rows_to_write() const;
    // The bytes of those of the rows that shall be written, as contiguous pieces.
    std::vector<std::string_view> pieces(const std::vector<uint32_t>& rows) const;
    std::vector<std::string_view> pieces() const;  // of all rows

    // Keeps the batch, from which records of the block come, until the block is cleared.
    void hold(const std::shared_ptr<const Batch>& batch);
    const std::vector<std::shared_ptr<const Batch>>& held() const { return held_; }
    void refuse(uint32_t move, int64_t offset, std::string why) { refused_.push_back({move, offset, std::move(why)}); }
    void refuse_row(uint32_t row, std::string why);
    // Those of the batch's records that are refused and no dead letters yet, by ascending index; none of a dropped move.
    std::vector<BadRecord> refused_of(const Batch& batch) const;
    void are_dead_letters(const Batch& batch);  // those
    // Ends each move before its first refused record that is no dead letter. Where that was first in the block, for a person; "": there was none.
    std::string end_before_refused();
    // What is below `next` is written already: the move begins there, or is dropped.
    void skip_to(uint32_t move, int64_t next);

    // Where what is too much for one transaction is written step by step: from now on only the next so many rows shall be written.
    void limit(size_t rows);
    size_t rows_in_step() const { return step_end() - step_begin_; }
    // Where the step takes each move.
    std::vector<int64_t> step_ends() const;
    // The step is written: moves begin where it took them, those that came to their end are dropped.
    void step();

    // Drops the moves whose partitions are not ours any more. False: nothing is left.
    bool drop_revoked();

    const std::vector<Row>& rows() const { return rows_; }
    std::vector<PositionMove>& moves() { return moves_; }
    const std::vector<PositionMove>& moves() const { return moves_; }
    size_t size_bytes() const { return bytes_.size(); }
    bool empty() const { return moves_.empty(); }
    // More memory than that is given back.
    void clear(size_t keep_capacity_bytes);

  private:
    std::string_view bytes_of(uint32_t row) const;
    size_t step_end() const { return std::min(step_end_, rows_.size()); }
    void leave_out(uint32_t row);
    template <class Which>
    void forget(uint32_t move, Which&& which);  // rows and refused records of the move at those offsets
    bool is_open(const RefusedRecord& record) const { return !record.is_dead_letter && !moves_[record.move].dropped; }
    bool is_of(const RefusedRecord& record, const Batch& batch) const;
    template <class RowAt, class Visit>
    void visit_rows_to_write(size_t count, RowAt&& row_at, Visit&& visit) const;  // from the last to the first
    template <class RowAt>
    std::vector<std::string_view> collect(size_t count, RowAt&& row_at) const;

    ByteBuffer bytes_;
    std::vector<Row> rows_;
    std::vector<PositionMove> moves_;
    size_t step_begin_ = 0;  // rows
    size_t step_end_ = std::numeric_limits<size_t>::max();
    std::vector<bool> left_out_;  // by row; shorter than rows_ where none of the others is
    std::vector<RefusedRecord> refused_;
    std::vector<std::shared_ptr<const Batch>> held_;
};

}  // namespace fetcher
