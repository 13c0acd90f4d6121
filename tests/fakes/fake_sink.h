// A processor whose sink is in memory and outlives it, and that a test can cork, refuse or break.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/processor.h"

namespace fetcher::testing {

// What the sink holds; shared between the test and any number of processors, as a database would be. Thread: any
class FakeStore {
  public:
    struct Row {
        int32_t partition;
        int64_t offset;
        std::string value;
        bool operator==(const Row&) const = default;
    };
    std::vector<Row> rows() const {
        const std::lock_guard lock(mutex_);
        return rows_;
    }
    // Waits until the sink holds n rows.
    bool wait_rows(size_t n) const {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return rows_.size() >= n; });
    }
    void set_position(int32_t partition, Position position) {
        const std::lock_guard lock(mutex_);
        positions_[partition] = std::move(position);
    }
    std::optional<Position> position(int32_t partition) const {
        const std::lock_guard lock(mutex_);
        const auto it = positions_.find(partition);
        return it == positions_.end() ? std::nullopt : std::optional(it->second);
    }
    // For which the partition was opened last; nullptr: never.
    std::shared_ptr<const Assignment> assignment(int32_t partition) const {
        const std::lock_guard lock(mutex_);
        const auto it = assignments_.find(partition);
        return it == assignments_.end() ? nullptr : it->second;
    }
    // The next calls of write() (or open()) answer with this, `times` often.
    void answer_writes(Outcome outcome, int times) {
        const std::lock_guard lock(mutex_);
        write_answer_ = std::move(outcome);
        write_answers_ = times;
    }
    // From now on write() writes; how often it would have answered yet.
    int stop_answers() {
        const std::lock_guard lock(mutex_);
        return std::exchange(write_answers_, 0);
    }
    void refuse_opens(int times) {
        const std::lock_guard lock(mutex_);
        refused_opens_ = times;
    }
    // These fail for good.
    void break_opens(int times) {
        const std::lock_guard lock(mutex_);
        broken_opens_ = times;
    }
    // While corked, write() does not return.
    void cork() {
        const std::lock_guard lock(mutex_);
        corked_ = true;
    }
    void uncork() {
        const std::lock_guard lock(mutex_);
        corked_ = false;
        changed_.notify_all();
    }
    // write() takes at least this long.
    void take_time(std::chrono::milliseconds time) {
        const std::lock_guard lock(mutex_);
        time_ = time;
    }
    // Batches of this partition are held until release_partition(); then all of them are written.
    void hold_partition(int32_t partition) {
        const std::lock_guard lock(mutex_);
        held_partition_ = partition;
    }
    void release_partition() {
        const std::lock_guard lock(mutex_);
        held_partition_ = -1;
        for (const auto& deliver : held_) deliver();
        held_.clear();
        held_back_.clear();
        changed_.notify_all();
    }
    // What is held is gone: its batches come back unwritten.
    void forget_held() {
        const std::lock_guard lock(mutex_);
        held_.clear();
        for (const auto& give_back : held_back_) give_back();
        held_back_.clear();
    }
    // As a thread of the processor's own would tell it.
    void fail_behind_its_back(const std::string& why) {
        const std::lock_guard lock(mutex_);
        acks_->failed({ErrorKind::fatal, why});
    }
    RecordParts parts;  // that it asks for
    bool keeps_position = true;
    std::string throws;  // write() throws this
    bool holds = false;  // batches are held, and given back even before write() returns

  private:
    friend class FakeSink;
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::vector<Row> rows_;
    std::map<int32_t, Position> positions_;
    std::map<int32_t, std::shared_ptr<const Assignment>> assignments_;
    Outcome write_answer_;
    int write_answers_ = 0;
    int refused_opens_ = 0;
    int broken_opens_ = 0;
    bool corked_ = false;
    std::chrono::milliseconds time_{0};
    int32_t held_partition_ = -1;
    std::vector<std::function<void()>> held_;
    std::vector<std::function<void()>> held_back_;
    Acks* acks_ = nullptr;  // of the latest processor
};

class FakeSink final : public Processor {
  public:
    explicit FakeSink(FakeStore& store) : store_(store) {}
    RecordParts parts() const override { return store_.parts; }
    void bind(Acks& acks) override { acks_ = &acks; }
    Result<std::optional<Position>> open(const std::shared_ptr<Assignment>& assignment) override {
        const std::lock_guard lock(store_.mutex_);
        store_.acks_ = acks_;
        store_.assignments_[assignment->partition] = assignment;
        if (store_.refused_opens_ > 0) {
            store_.refused_opens_--;
            return transient("the test's sink is locked");
        }
        if (store_.broken_opens_ > 0) {
            store_.broken_opens_--;
            return fatal("the test's sink is broken");
        }
        if (!store_.keeps_position) return std::nullopt;
        const auto it = store_.positions_.find(assignment->partition);
        return it == store_.positions_.end() ? std::nullopt : std::optional(it->second);
    }
    Outcome write(const Batch& batch, size_t first) override {
        std::unique_lock lock(store_.mutex_);
        store_.changed_.wait(lock, [&] { return !store_.corked_; });
        if (!store_.throws.empty()) throw std::runtime_error(store_.throws);
        if (store_.write_answers_ > 0) {
            store_.write_answers_--;
            return store_.write_answer_;
        }
        if (store_.time_ > std::chrono::milliseconds(0)) store_.changed_.wait_for(lock, store_.time_, [] { return false; });
        if (batch.partition() == store_.held_partition_) {
            store_.held_.push_back([this, &batch, first] {
                keep(batch, first);
                acks_->durable(batch.assignment_ptr(), batch.next_offset());
                acks_->give_back(batch);
            });
            store_.held_back_.push_back([this, &batch] { acks_->give_back(batch); });
            return Outcome::held();
        }
        keep(batch, first);
        store_.changed_.notify_all();
        if (store_.holds) {
            acks_->durable(batch.assignment_ptr(), batch.next_offset());
            acks_->give_back(batch);
            return Outcome::held();
        }
        return Outcome::durable();
    }
    void close(const Assignment&) override {}

  private:
    void keep(const Batch& batch, size_t first) {
        for (size_t i = first; i < batch.size(); i++) {
            const Record record = batch.record(i);
            store_.rows_.push_back({batch.partition(), record.offset(), std::string(record.value().value_or("<null>"))});
        }
        auto& position = store_.positions_[batch.partition()];
        position.next_offset = batch.next_offset();
        position.last = batch.leader_epoch(batch.next_offset());
    }

    FakeStore& store_;
    Acks* acks_ = nullptr;
};

}  // namespace fetcher::testing
