// A Source whose partitions, records and rebalances a test scripts. Thread-safe where a test pushes while the poll thread drains.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/doorbell.h"
#include "engine/source.h"

namespace fetcher::testing {

class FakeSource final : public Source {
  public:
    explicit FakeSource(Doorbell& doorbell) : doorbell_(doorbell) {}

    // --- the test's side, any thread ------------------------------------------------------------------------------------
    void append(int32_t partition, int64_t offset, std::string value) {
        const std::lock_guard lock(mutex_);
        auto& log = logs_[partition];
        log.records[offset] = std::move(value);
        log.end = offset + 1;
        doorbell_.ring();
    }
    // From the log's end on records are of this leader epoch.
    void lead(int32_t partition, int32_t epoch) {
        const std::lock_guard lock(mutex_);
        logs_[partition].epochs[logs_[partition].end] = epoch;
    }
    // What lies behind is gone; the next records are of another leader. Who reads behind it is told.
    void cut(int32_t partition, int64_t offset, int32_t epoch) {
        const std::lock_guard lock(mutex_);
        auto& log = logs_[partition];
        const int32_t before = log.epoch_below(log.end);
        log.records.erase(log.records.lower_bound(offset), log.records.end());
        log.epochs.erase(log.epochs.lower_bound(offset), log.epochs.end());
        log.epochs[offset] = epoch;
        log.end = offset;
        if (log.position > offset) log.found_cut = LogCut{offset, before};
        doorbell_.ring();
    }
    void trim(int32_t partition, int64_t low) {
        const std::lock_guard lock(mutex_);
        logs_[partition].low = low;
    }
    void set_committed(int32_t partition, int64_t offset) {
        const std::lock_guard lock(mutex_);
        committed_[partition] = offset;
    }
    int64_t committed(int32_t partition) const {
        const std::lock_guard lock(mutex_);
        const auto it = committed_.find(partition);
        return it == committed_.end() ? -1 : it->second;
    }
    int32_t committed_epoch(int32_t partition) const {
        const std::lock_guard lock(mutex_);
        const auto it = committed_epochs_.find(partition);
        return it == committed_epochs_.end() ? -1 : it->second;
    }
    // Runs on the poll thread at its next serve().
    void script(std::function<void(SourceEvents&)> event) {
        const std::lock_guard lock(mutex_);
        events_.push_back(std::move(event));
        doorbell_.ring();
    }
    void assign_partitions(std::vector<int32_t> partitions) {
        script([partitions](SourceEvents& e) { e.on_assigned(partitions); });
    }
    void revoke_partitions(std::vector<int32_t> partitions, bool lost = false) {
        script([partitions, lost](SourceEvents& e) { e.on_revoked(partitions, lost); });
    }
    void fail_bounds(int times) {
        const std::lock_guard lock(mutex_);
        failing_bounds_ = times;
    }
    void fail_commits(bool fail) {
        const std::lock_guard lock(mutex_);
        failing_commits_ = fail;
    }
    bool closed() const {
        const std::lock_guard lock(mutex_);
        return closed_;
    }
    size_t cursors() const {  // second readings that exist
        const std::lock_guard lock(mutex_);
        return cursors_;
    }
    size_t cursors_made() const {
        const std::lock_guard lock(mutex_);
        return cursors_made_;
    }
    size_t drained_by_cursors() const {
        const std::lock_guard lock(mutex_);
        return drained_by_cursors_;
    }
    // How records were drained, since the last question: for all who share, and by cursors.
    struct Drained {
        bool with_keys, without_keys, by_cursors_without_keys;
    };
    Drained drained_how() {
        const std::lock_guard lock(mutex_);
        return {std::exchange(drained_with_keys_, false), std::exchange(drained_without_keys_, false), std::exchange(cursor_drained_without_keys_, false)};
    }
    void refuse_cursors(int times) {
        const std::lock_guard lock(mutex_);
        refused_cursors_ = times;
    }
    // The cursors' queues stay empty meanwhile.
    void stop_cursors(bool stop) {
        const std::lock_guard lock(mutex_);
        cursors_stopped_ = stop;
        doorbell_.ring();
    }
    // A second reading of the same records, at a position of its own and without a group.
    Result<std::unique_ptr<Source>> make_cursor() {
        const std::lock_guard lock(mutex_);
        if (refused_cursors_ > 0) {
            refused_cursors_--;
            return transient("the test has no second cursor");
        }
        return std::make_unique<CursorSource>(*this);
    }
    size_t drained() const {
        const std::lock_guard lock(mutex_);
        return drained_;
    }

    // --- Source ---------------------------------------------------------------------------------------------------------
    Result<TopicInfo> find_topic(std::chrono::milliseconds) override { return TopicInfo{1, ""}; }
    Result<void> subscribe(SourceEvents& events) override {
        sink_ = &events;
        return {};
    }
    void serve() override {
        for (;;) {
            std::function<void(SourceEvents&)> event;
            {
                const std::lock_guard lock(mutex_);
                if (events_.empty()) return;
                event = std::move(events_.front());
                events_.pop_front();
            }
            event(*sink_);
        }
    }
    Result<std::map<int32_t, PartitionBounds>> bounds(const std::vector<int32_t>& partitions, std::chrono::milliseconds) override {
        const std::lock_guard lock(mutex_);
        if (failing_bounds_ > 0) {
            failing_bounds_--;
            doorbell_.ring();
            return transient("the test's broker does not answer");
        }
        std::map<int32_t, PartitionBounds> bounds;
        for (const int32_t p : partitions) {
            bounds[p] = {std::nullopt, logs_[p].low, logs_[p].end};
            if (const auto it = committed_.find(p); it != committed_.end()) bounds[p].committed = it->second;
            if (const auto it = committed_epochs_.find(p); it != committed_epochs_.end()) bounds[p].committed_epoch = it->second;
        }
        return bounds;
    }
    std::unique_ptr<PartitionQueue> queue(int32_t partition) override { return std::make_unique<Queue>(*this, partition); }
    void assign(const std::vector<PartitionStart>& starts) override {
        const std::lock_guard lock(mutex_);
        for (const auto& start : starts) {
            logs_[start.partition].position = start.offset;
            logs_[start.partition].found_cut = logs_[start.partition].cut_below(start);
        }
    }
    void unassign(const std::vector<int32_t>&) override {}
    void restart(int32_t, const std::vector<PartitionStart>& all) override { assign(all); }
    Result<void> seek(const PartitionStart& start, std::chrono::milliseconds) override {
        const std::lock_guard lock(mutex_);
        if (logs_[start.partition].found_cut) return transient("a log that was cut is not fetched");
        logs_[start.partition].position = start.offset;
        logs_[start.partition].found_cut = logs_[start.partition].cut_below(start);
        return {};
    }
    void commit_async(const std::vector<PartitionStart>& offsets) override {
        // The broker takes commits in the order in which they were sent; only the answers come late.
        const bool taken = take_commit(offsets);
        script([offsets, taken](SourceEvents& e) { answer_commit(offsets, taken, e); });
    }
    Result<void> commit(const std::vector<PartitionStart>& offsets, std::chrono::milliseconds) override {
        answer_commit(offsets, take_commit(offsets), *sink_);
        return {};
    }
    int64_t fetched_log_end(int32_t partition) override {
        const std::lock_guard lock(mutex_);
        return logs_[partition].end;
    }
    void ask_log_ends(const std::vector<int32_t>&) override {}
    void close(std::chrono::milliseconds) override {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }

  private:
    struct Log {
        std::map<int64_t, std::string> records;
        int64_t low = 0;
        int64_t end = 0;
        int64_t position = 0;
        std::map<int64_t, int32_t> epochs;  // by the first offset
        std::optional<LogCut> found_cut;    // nothing more comes before a restart

        int32_t epoch_below(int64_t offset) const {
            const auto it = epochs.lower_bound(offset);
            return it == epochs.begin() ? -1 : std::prev(it)->second;
        }
        // As a broker finds it.
        std::optional<LogCut> cut_below(const PartitionStart& start) const {
            for (const auto& [from, epoch] : epochs)
                if (start.leader_epoch >= 0 && epoch > start.leader_epoch && from < start.offset) return LogCut{from, start.leader_epoch};
            return std::nullopt;
        }
        void add(Batch& batch, int64_t offset, const std::string& value) const {
            if (const int32_t epoch = epoch_below(offset + 1); epoch != batch.epochs.latest()) batch.epochs.starts.push_back({offset, epoch});
            batch.add(offset, 1'000, value);
        }
    };
    class Queue final : public PartitionQueue {
      public:
        Queue(FakeSource& source, int32_t partition) : source_(source), partition_(partition) {}
        DrainResult drain(Batch& batch, RecordParts parts, size_t target_bytes) override {
            const std::lock_guard lock(source_.mutex_);
            if (parts.keys) source_.drained_with_keys_ = true;
            else source_.drained_without_keys_ = true;
            auto& log = source_.logs_[partition_];
            DrainResult result;
            result.cut = log.found_cut;
            if (result.cut) return result;
            for (auto it = log.records.lower_bound(log.position); it != log.records.end(); ++it) {
                if (batch.filled_bytes() >= target_bytes) {
                    result.more = true;
                    break;
                }
                if (it->first >= batch.next_offset()) log.add(batch, it->first, it->second);
                log.position = it->first + 1;
                source_.drained_++;
            }
            return result;
        }

      private:
        FakeSource& source_;
        const int32_t partition_;
    };

    class CursorSource final : public Source {
      public:
        explicit CursorSource(FakeSource& from) : from_(from) {
            from_.cursors_++;
            from_.cursors_made_++;
        }
        ~CursorSource() override {
            const std::lock_guard lock(from_.mutex_);
            from_.cursors_--;
        }
        Result<TopicInfo> find_topic(std::chrono::milliseconds) override { return TopicInfo{1, ""}; }
        Result<void> subscribe(SourceEvents&) override { return {}; }
        void serve() override {}
        Result<std::map<int32_t, PartitionBounds>> bounds(const std::vector<int32_t>&, std::chrono::milliseconds) override {
            return transient("a cursor has no group to ask for");
        }
        std::unique_ptr<PartitionQueue> queue(int32_t partition) override { return std::make_unique<CursorQueue>(*this, partition); }
        void assign(const std::vector<PartitionStart>& starts) override {
            for (const auto& start : starts) {
                positions_[start.partition] = start.offset;
                cuts_[start.partition] = from_.logs_[start.partition].cut_below(start);
            }
        }
        void unassign(const std::vector<int32_t>& partitions) override {
            for (const int32_t p : partitions) positions_.erase(p);
        }
        void restart(int32_t, const std::vector<PartitionStart>&) override {}
        Result<void> seek(const PartitionStart&, std::chrono::milliseconds) override { return {}; }
        void commit_async(const std::vector<PartitionStart>&) override { FETCHER_INVARIANT(false, "a cursor commits nothing"); }
        Result<void> commit(const std::vector<PartitionStart>&, std::chrono::milliseconds) override { return transient("a cursor commits nothing"); }
        int64_t fetched_log_end(int32_t) override { return -1; }
        void ask_log_ends(const std::vector<int32_t>&) override {}
        void close(std::chrono::milliseconds) override {}

      private:
        friend class FakeSource;
        FakeSource& from_;
        std::map<int32_t, int64_t> positions_;
        std::map<int32_t, std::optional<LogCut>> cuts_;
    };
    class CursorQueue final : public PartitionQueue {
      public:
        CursorQueue(CursorSource& cursor, int32_t partition) : cursor_(cursor), partition_(partition) {}
        DrainResult drain(Batch& batch, RecordParts parts, size_t target_bytes) override {
            FakeSource& from = cursor_.from_;
            const std::lock_guard lock(from.mutex_);
            if (!parts.keys) from.cursor_drained_without_keys_ = true;
            const auto position = cursor_.positions_.find(partition_);
            FETCHER_INVARIANT(position != cursor_.positions_.end(), "only what is assigned is drained");
            auto& log = from.logs_[partition_];
            DrainResult result;
            if (from.cursors_stopped_) return result;
            result.cut = cursor_.cuts_[partition_];
            if (result.cut) return result;
            if (position->second < log.low) {
                result.error = transient("OFFSET_OUT_OF_RANGE").value();
                return result;
            }
            for (auto it = log.records.lower_bound(position->second); it != log.records.end(); ++it) {
                if (batch.filled_bytes() >= target_bytes) {
                    result.more = true;
                    break;
                }
                if (it->first >= batch.next_offset()) log.add(batch, it->first, it->second);
                position->second = it->first + 1;
                from.drained_by_cursors_++;
            }
            return result;
        }

      private:
        CursorSource& cursor_;
        const int32_t partition_;
    };

    bool take_commit(const std::vector<PartitionStart>& offsets) {
        const std::lock_guard lock(mutex_);
        if (failing_commits_) return false;
        for (const auto& at : offsets) {
            committed_[at.partition] = at.offset;
            committed_epochs_[at.partition] = at.leader_epoch;
        }
        return true;
    }
    static void answer_commit(const std::vector<PartitionStart>& offsets, bool taken, SourceEvents& events) {
        taken ? events.on_committed(offsets, "") : events.on_committed({}, "the test's broker refuses");
    }

    Doorbell& doorbell_;
    SourceEvents* sink_ = nullptr;
    mutable std::mutex mutex_;
    std::map<int32_t, Log> logs_;
    std::map<int32_t, int64_t> committed_;
    std::map<int32_t, int32_t> committed_epochs_;
    std::deque<std::function<void(SourceEvents&)>> events_;
    int failing_bounds_ = 0;
    bool failing_commits_ = false;
    bool closed_ = false;
    size_t drained_ = 0;
    size_t cursors_ = 0;
    size_t cursors_made_ = 0;
    size_t drained_by_cursors_ = 0;
    int refused_cursors_ = 0;
    bool drained_with_keys_ = false;
    bool drained_without_keys_ = false;
    bool cursor_drained_without_keys_ = false;
    bool cursors_stopped_ = false;
};

}  // namespace fetcher::testing
