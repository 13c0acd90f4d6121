#include "admin/replica_board.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "admin/report_json.h"
#include "admin/uuid.h"

namespace fetcher {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

ReplicaBoard::ReplicaBoard(Instance self, std::unique_ptr<HeartbeatStore> store, std::function<ConsumerReports()> own_reports)
    : self_(std::move(self)), store_(std::move(store)), own_reports_(std::move(own_reports)), run_id_(new_uuid()) {}

ReplicaBoard::~ReplicaBoard() { stop(); }

void ReplicaBoard::start() {
    if (!store_) return;
    beat();  // so that the first answers know the others
    thread_ = std::thread([this] { run(); });
}

void ReplicaBoard::stop() {
    if (!thread_.joinable()) return;
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
    store_->leave(self_.instance_id);
}

void ReplicaBoard::run() {
    auto next = steady_clock::now() + kInterval;
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            if (changed_.wait_until(lock, next, [&] { return stopping_; })) return;
        }
        const auto begun = steady_clock::now();
        beat();
        // Where a beat takes long, because there are thousands of consumers or the database is slow, beats become rarer.
        next = begun + interval_after(std::chrono::duration_cast<milliseconds>(steady_clock::now() - begun));
    }
}

void ReplicaBoard::beat() {
    auto report = write_reports(own_reports_());
    if (report != last_report_) ++report_number_;
    HeartbeatStore::Beat beat{self_, run_id_ + "/" + std::to_string(report_number_), report, {}};
    {
        std::lock_guard lock(mutex_);
        for (const auto& [id, known] : others_) beat.known[id] = known.report_version;
    }
    last_report_ = std::move(report);
    auto heard = store_->beat(beat);
    std::lock_guard lock(mutex_);
    if (!heard) {
        if (!std::exchange(failing_, true)) spdlog::warn("replicas: {}", heard.error().reason);
        return;
    }
    if (std::exchange(failing_, false)) spdlog::info("replicas: the database is back");
    const auto now = steady_clock::now();
    if (now - current_at_ > kDeadAfter / 2) {
        outage_ = now - current_at_;
        current_since_ = now;
    }
    current_at_ = now;
    take_in(std::move(*heard));
    changed_.notify_all();
}

void ReplicaBoard::take_in(std::vector<HeartbeatStore::Heard> heard) {
    std::map<std::string, Known> now;
    for (auto& one : heard) {
        auto& known = now[one.instance.instance_id];
        const auto before = others_.find(one.instance.instance_id);
        if (before != others_.end()) known = std::move(before->second);
        const auto current_for = steady_clock::now() - current_since_;
        const bool excused = before != others_.end() && known.replica.alive && current_for < kDeadAfter && one.silent_for < kDeadAfter + outage_ + current_for;
        known.replica.instance = std::move(one.instance);
        known.replica.silent_for = one.silent_for;
        known.replica.alive = excused || one.silent_for < kDeadAfter;
        known.heard_at = steady_clock::now();
        if (one.report.empty()) continue;
        known.report_version = std::move(one.report_version);
        if (auto reports = read_reports(one.report)) known.replica.consumers = std::move(*reports);
        else spdlog::error("replicas: the report of instance {} cannot be read", known.replica.instance.instance_id);
    }
    others_ = std::move(now);
}

ReplicaBoard::View ReplicaBoard::view() const {
    View view;
    if (!store_) return view;
    const auto now = steady_clock::now();
    std::lock_guard lock(mutex_);
    view.current = now - current_at_ < kDeadAfter;
    for (const auto& [id, known] : others_) {
        view.others.push_back(known.replica);
        view.others.back().silent_for += std::chrono::duration_cast<milliseconds>(now - known.heard_at);
    }
    return view;
}

bool ReplicaBoard::wait_for(milliseconds timeout, const std::function<bool(const Replica&)>& done) {
    if (!store_) return true;
    std::unique_lock lock(mutex_);
    const auto all = [&] {
        return std::all_of(others_.begin(), others_.end(), [&](const auto& entry) { return !entry.second.replica.alive || done(entry.second.replica); });
    };
    changed_.wait_for(lock, timeout, [&] { return stopping_ || all(); });
    return all();
}

bool ReplicaBoard::wait_applied(const std::string& consumer_id, int64_t revision, milliseconds timeout) {
    return wait_for(timeout, [&](const Replica& replica) {
        const auto found = replica.consumers.find(consumer_id);
        return found != replica.consumers.end() && found->second.applied_revision >= revision;
    });
}

bool ReplicaBoard::wait_gone(const std::string& consumer_id, milliseconds timeout) {
    return wait_for(timeout, [&](const Replica& replica) { return !replica.consumers.contains(consumer_id); });
}

}  // namespace fetcher
