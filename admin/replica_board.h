// ReplicaBoard: what all processes on one database know of each other. A thread of its own reports this process's consumers twice a second
// and takes in what the others have reported; whoever asks is answered from that and never waits for the database.
//
// A replica that has been silent for kDeadAfter is dead, by the database's clock. While the database is away nobody is declared dead, as nobody
// can report, nor before it has been back for as long: the board says that it is not current.
// Thread: any
#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "admin/config_store.h"
#include "admin/replica.h"

namespace fetcher {

// Where the processes leave their reports.
class HeartbeatStore {
  public:
    struct Beat {
        Instance instance;
        std::string report_version;  // another one for every other report, over all runs of the process
        std::string report;
        std::map<std::string, std::string> known;  // report version by instance id: these need not be sent again
    };
    struct Heard {
        Instance instance;
        std::chrono::milliseconds silent_for{0};
        std::string report_version;
        std::string report;  // empty: as known
    };

    virtual ~HeartbeatStore() = default;
    // Reports, and returns all others that have been heard of within the hour. Bounded in time.
    virtual tl::expected<std::vector<Heard>, StoreError> beat(const Beat& beat) = 0;
    virtual void leave(const std::string& instance_id) = 0;
};

class ReplicaBoard {
  public:
    static constexpr std::chrono::milliseconds kInterval{500};
    static constexpr std::chrono::milliseconds kDeadAfter{5'000};

    struct View {
        std::vector<Replica> others;  // by instance id
        bool current = true;          // false: the database is away, this is what it last said
    };

    // store nullptr: this process is alone.
    ReplicaBoard(Instance self, std::unique_ptr<HeartbeatStore> store, std::function<ConsumerReports()> own_reports);
    ~ReplicaBoard();  // as stop()
    ReplicaBoard(const ReplicaBoard&) = delete;
    ReplicaBoard& operator=(const ReplicaBoard&) = delete;

    void start();
    void stop();  // the others see at once that this process has left

    // From the beginning of one beat to that of the next: rarer where a beat takes long, but never so rare that the others take this one for dead.
    static std::chrono::milliseconds interval_after(std::chrono::milliseconds beat_took) {
        return std::clamp<std::chrono::milliseconds>(10 * beat_took, kInterval, kDeadAfter / 3);
    }

    bool shared() const { return store_ != nullptr; }
    const Instance& self() const { return self_; }
    View view() const;
    // Waits until the revision has had its effect in every living replica, or none of them knows the consumer any more. False on timeout.
    bool wait_applied(const std::string& consumer_id, int64_t revision, std::chrono::milliseconds timeout);
    bool wait_gone(const std::string& consumer_id, std::chrono::milliseconds timeout);

  private:
    using Time = std::chrono::steady_clock::time_point;
    struct Known {
        Replica replica;
        std::string report_version;
        Time heard_at;
    };

    void run();
    void beat();
    void take_in(std::vector<HeartbeatStore::Heard> heard);
    bool wait_for(std::chrono::milliseconds timeout, const std::function<bool(const Replica&)>& done);

    const Instance self_;
    const std::unique_ptr<HeartbeatStore> store_;
    const std::function<ConsumerReports()> own_reports_;
    std::string run_id_;
    std::string last_report_;  // the thread's own
    uint64_t report_number_ = 0;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, Known> others_;
    Time current_at_{};     // of the last beat that was answered
    Time current_since_{};  // since there was none for long
    Time::duration outage_{};  // how long that was
    bool failing_ = false;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace fetcher
