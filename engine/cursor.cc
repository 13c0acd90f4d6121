#include "engine/cursor.h"

#include <spdlog/spdlog.h>

#include <system_error>
#include <vector>

namespace fetcher {
namespace {

constexpr std::chrono::seconds kQuestionInterval{5};

}  // namespace

Result<std::unique_ptr<Cursor>> Cursor::open(const MakeSource& make, uint64_t prefetch_bytes, MemoryBudget::Member& memory) {
    auto source = make(prefetch_bytes);
    if (!source) return tl::unexpected(source.error());
    auto cursor = std::unique_ptr<Cursor>(new Cursor(std::move(*source), prefetch_bytes, memory));
    if (const auto listening = cursor->source_->subscribe(*cursor); !listening) return tl::unexpected(listening.error());
    return cursor;
}

Cursor::Cursor(std::unique_ptr<Source> source, uint64_t prefetch_bytes, MemoryBudget::Member& memory)
    : source_(std::move(source)), prefetch_bytes_(prefetch_bytes), memory_(memory) {}

Cursor::~Cursor() {
    queues_.clear();  // before their source
}

std::future<void> Cursor::dissolve(std::unique_ptr<Cursor> cursor) {
    while (!cursor->queues_.empty()) cursor->give_up(cursor->queues_.begin()->first);
    try {
        return std::async(std::launch::async, [owned = std::move(cursor)]() mutable { owned.reset(); });
    } catch (const std::system_error&) {  // no thread left: it ended with the closure, here
        std::promise<void> done;
        done.set_value();
        return done.get_future();
    }
}

void Cursor::add(const PartitionStart& start) {
    memory_.charge(prefetch_bytes_);
    queues_[start.partition] = source_->queue(start.partition);
    source_->assign({start});
}

void Cursor::give_up(int32_t partition) {
    if (queues_.erase(partition) == 0) return;
    memory_.release(prefetch_bytes_);
    source_->unassign({partition});
}

PartitionQueue* Cursor::queue(int32_t partition) const {
    const auto it = queues_.find(partition);
    return it == queues_.end() ? nullptr : it->second.get();
}

const std::optional<SourceTrouble>& Cursor::serve() {
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_question_ && !queues_.empty()) {
        std::vector<int32_t> partitions;
        for (const auto& [p, queue] : queues_) partitions.push_back(p);
        source_->ask_log_ends(partitions);
        next_question_ = now + kQuestionInterval;
    }
    source_->serve();
    return end_;
}

void Cursor::on_trouble(const SourceTrouble& trouble) {
    using Kind = SourceTrouble::Kind;
    const bool for_good = trouble.kind != Kind::broker_unreachable && trouble.kind != Kind::hiccup;
    if (for_good && !end_) end_ = trouble;
    // That a broker does not answer is told by the source which all share.
    if (!for_good) spdlog::debug("a second cursor: {}", trouble.reason);
}

}  // namespace fetcher
