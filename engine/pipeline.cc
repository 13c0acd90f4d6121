#include "engine/pipeline.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <condition_variable>
#include <system_error>
#include <thread>

#include "engine/cpu_pinning.h"
#include "engine/kafka_source.h"
#include "engine/poll_loop.h"

namespace fetcher {
namespace {

constexpr std::chrono::milliseconds kFindTimeout{1'000};  // also how long a stop may have to wait before the topic is found
constexpr std::chrono::milliseconds kFindPause{500};
constexpr std::chrono::seconds kUnansweredLimit{15};  // a client that has known brokers looks for them where they were: a new one is made
constexpr uint64_t kPrefetchPerPartition = 2 << 20;       // librdkafka adds about as much of its own for small records
constexpr uint64_t kLeastPrefetchPerPartition = 64 << 10;
constexpr int kGuessedPartitions = 4;

}  // namespace

class Pipeline::Impl {
  public:
    Impl(PipelineOptions options, std::vector<PipelineProcessor> processors, MemoryBudget& budget)
        : options_(std::move(options)), budget_(budget), acks_(doorbell_) {
        uint32_t index = 0;
        for (auto& p : processors) {
            types_.push_back(p.type);
            ids_.push_back(p.id);
            required_.push_back(p.required);
            make_anew_.push_back(std::move(p.make_anew));
            workers_.push_back(make_worker(index++, std::move(p.processor)));
        }
    }

    ~Impl() {
        request_stop();
        if (thread_.joinable()) thread_.join();
    }

    void start() {
        FETCHER_INVARIANT(!thread_.joinable(), "a pipeline is started once");
        thread_ = std::thread([this] { run(); });
        pthread_setname_np(thread_.native_handle(), ("poll " + options_.topic).substr(0, 15).c_str());
    }

    void request_stop() {
        stop_.store(true, std::memory_order_release);
        doorbell_.ring();
    }

    bool wait_finished(std::chrono::milliseconds timeout) {
        std::unique_lock lock(finished_mutex_);
        return finished_changed_.wait_for(lock, timeout, [&] { return finished_; });
    }

    PipelineSnapshot snapshot() const {
        auto snapshot = board_.read();
        for (size_t i = 0; i < snapshot.processors.size(); i++) snapshot.processors[i].type = types_[i];
        return snapshot;
    }

  private:
    std::unique_ptr<Worker> make_worker(uint32_t i, std::unique_ptr<Processor> processor) {
        return std::make_unique<Worker>(i, types_[i], std::move(processor), acks_,
                                        FailurePolicy{options_.retry, options_.dead_letters, {ids_[i], types_[i], 0}});
    }

    Result<std::unique_ptr<Worker>> renew_worker(size_t i) {
        const UnpinnedScope unpinned;
        auto processor = make_anew_[i]();
        if (!processor) return tl::unexpected(processor.error());
        auto worker = make_worker(static_cast<uint32_t>(i), std::move(*processor));
        if (const auto why = start(*worker); !why.empty()) return transient(why);
        return worker;
    }

    void run() {
        PollLoop::End end{start_workers()};
        if (end.why.empty()) {
            MemoryBudget::Member memory(budget_);
            end = consume(memory);
        }
        for (auto& worker : workers_) worker->lane().push({.kind = LaneItem::Kind::stop});  // a second one is never read
        for (auto& worker : workers_) worker.reset();
        finish(end);
    }

    // Returns why not, "" if all run.
    std::string start_workers() {
        for (auto& worker : workers_)
            if (auto why = start(*worker); !why.empty()) return why;
        return "";
    }

    static std::string start(Worker& worker) {
        try {
            worker.start();
        } catch (const std::system_error& error) {
            return std::string("the system refuses a thread: ") + error.what();
        }
        return "";
    }

    // From the first look at the broker to the end.
    PollLoop::End consume(MemoryBudget::Member& memory) {
        auto source = connect(kGuessedPartitions, memory);
        if (!source) return {source.error().reason};
        auto topic = await_topic(*source, kGuessedPartitions, memory);
        if (topic && *topic && static_cast<uint64_t>((*topic)->partitions) * prefetch_bytes_ > prefetch_limit((*topic)->partitions, memory)) {
            const int partitions = (*topic)->partitions;
            source = connect(partitions, memory);  // with less for each of many partitions; the group has not been joined yet
            if (!source) return {source.error().reason};
            topic = await_topic(*source, partitions, memory);
        }
        if (!topic) return {topic.error().reason};
        return *topic ? consume(**source, **topic, memory) : PollLoop::End{};
    }

    PollLoop::End consume(KafkaSource& source, const TopicInfo& topic, MemoryBudget::Member& memory) {
        memory.charge(prefetch_bytes_ * static_cast<uint64_t>(topic.partitions));
        // Only now: threads inherit their maker's core, and librdkafka's shall run where there is room.
        if (options_.pin_thread) pin_this_thread();
        PollLoopOptions o{.consumer_id = options_.consumer_id, .group = options_.group, .topic = options_.topic, .topic_id = topic.topic_id};
        o.latest = options_.auto_offset_reset == "latest";
        o.partitions = topic.partitions;
        o.commit_interval = options_.commit_interval;
        o.drain_timeout = options_.drain_timeout;
        o.processor_ids = ids_;
        o.required = required_;
        o.renew_worker = [this](size_t i) { return renew_worker(i); };
        o.reopen = options_.reopen;
        o.make_cursor_source = [this](uint64_t prefetch_bytes) -> Result<std::unique_ptr<Source>> {
            const UnpinnedScope unpinned;
            auto made = KafkaSource::create(source_options(prefetch_bytes, false), doorbell_);
            if (!made) return tl::unexpected(made.error());
            return std::unique_ptr<Source>(std::move(*made));
        };
        PollLoop loop(std::move(o), source, workers_, acks_, doorbell_, memory, health_, board_);
        return loop.run(stop_);
    }

    // What librdkafka may hold for this consumer: a part of what the budget has left, so that late consumers find some too.
    uint64_t prefetch_limit(int partitions, const MemoryBudget::Member& memory) const {
        const uint64_t left = budget_.limit_bytes() - std::min(budget_.limit_bytes(), budget_.used_bytes());
        const uint64_t n = static_cast<uint64_t>(partitions);
        return std::max(n * kLeastPrefetchPerPartition, std::min({n * kPrefetchPerPartition, left / 4, memory.share_bytes() / 2}));
    }

    Result<std::unique_ptr<KafkaSource>> connect(int partitions, const MemoryBudget::Member& memory) {
        prefetch_bytes_ = prefetch_limit(partitions, memory) / static_cast<uint64_t>(partitions);
        return KafkaSource::create(source_options(prefetch_bytes_, true), doorbell_);
    }

    KafkaSourceOptions source_options(uint64_t prefetch_bytes, bool member) const {
        return {.cluster = options_.cluster,
                .topic = options_.topic,
                .group = options_.group,
                .member = member,
                .group_instance_id = options_.group_instance_id,
                .partition_assignment_strategy = options_.partition_assignment_strategy,
                .session_timeout = options_.session_timeout,
                .max_poll_interval = options_.max_poll_interval,
                .prefetch_bytes_per_partition = prefetch_bytes};
    }

    // Waits, saying for what, until the topic is there. nullopt: stopped meanwhile. An error: the broker lets nobody in with these properties.
    Result<std::optional<TopicInfo>> await_topic(std::unique_ptr<KafkaSource>& source, int partitions, const MemoryBudget::Member& memory) {
        auto answered = Clock::now();
        PipelineSnapshot waiting;
        waiting.last_progress = Clock::now();
        while (!stop_.load(std::memory_order_acquire)) {
            const auto topic = source->find_topic(kFindTimeout);
            if (topic && topic->partitions > 0) {
                health_.clear("topic_missing");
                health_.clear("broker_unreachable");
                return std::optional(*topic);
            }
            if (!topic && topic.error().kind == ErrorKind::fatal)
                return fatal("the broker at " + options_.cluster.servers + " does not let this consumer in: " + topic.error().reason);
            if (topic) {
                answered = Clock::now();
                health_.clear("broker_unreachable");
                health_.set(HealthReason::Severity::waiting, "topic_missing",
                            "waiting for topic " + options_.topic + " to be created at " + options_.cluster.servers);
            } else {
                health_.set(HealthReason::Severity::waiting, "broker_unreachable",
                            "waiting for the broker at " + options_.cluster.servers + ": " + topic.error().reason);
                if (Clock::now() - answered > kUnansweredLimit) {
                    auto anew = connect(partitions, memory);
                    if (!anew) return tl::unexpected(anew.error());
                    source = std::move(*anew);
                    answered = Clock::now();
                }
            }
            waiting.state = PipelineSnapshot::State::starting;
            waiting.reasons = health_.reasons();
            board_.publish(waiting);
            doorbell_.wait_until(Clock::now() + kFindPause);
        }
        return std::optional<TopicInfo>();
    }

    void finish(const PollLoop::End& end) {
        using State = PipelineSnapshot::State;
        auto last = board_.read();
        last.state = end.why.empty() ? State::stopped : end.outdated ? State::outdated : State::failed;
        last.failure = end.why;
        last.partitions.clear();
        last.memory_bytes = 0;
        board_.publish(std::move(last));
        if (last.state == State::failed) spdlog::error("consumer {}: {}", options_.consumer_id, end.why);
        const std::lock_guard lock(finished_mutex_);
        finished_ = true;
        finished_changed_.notify_all();
    }

    const PipelineOptions options_;
    MemoryBudget& budget_;
    Doorbell doorbell_;
    AckQueue acks_;
    std::vector<std::string> ids_;
    std::vector<std::string> types_;
    std::vector<bool> required_;
    std::vector<std::function<Result<std::unique_ptr<Processor>>()>> make_anew_;
    std::vector<std::unique_ptr<Worker>> workers_;
    HealthBoard health_;  // poll thread only
    SnapshotBoard board_;
    uint64_t prefetch_bytes_ = 0;
    std::atomic<bool> stop_{false};
    std::thread thread_;
    std::mutex finished_mutex_;
    std::condition_variable finished_changed_;
    bool finished_ = false;
};

Pipeline::Pipeline(PipelineOptions options, std::vector<PipelineProcessor> processors, MemoryBudget& budget)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(processors), budget)) {}
Pipeline::~Pipeline() = default;
void Pipeline::start() { impl_->start(); }
void Pipeline::request_stop() { impl_->request_stop(); }
bool Pipeline::finished() const { return impl_->wait_finished(std::chrono::milliseconds(0)); }
bool Pipeline::wait_finished(std::chrono::milliseconds timeout) { return impl_->wait_finished(timeout); }
PipelineSnapshot Pipeline::snapshot() const { return impl_->snapshot(); }

}  // namespace fetcher
