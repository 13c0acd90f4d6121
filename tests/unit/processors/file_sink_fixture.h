// FileSinkOnDisk: one sink with one file on a simulated disk, fed by hand.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "sink_world.h"

namespace fetcher {

class FileSinkOnDisk : public testing::Test {
  protected:
    FileSinkOnDisk() { options_.file_path = kPath; options_.fsync_interval = std::chrono::milliseconds(100); }

    void start() {
        sink_.reset();
        sink_ = std::make_unique<FileSink>(options_, ProcessorOwner{"consumer-1", "group", "topic"},
                                           ProcessorEnvironment{"instance-1", {"/root"}}, disk_);
        sink_->bind(acks_);
    }
    Result<std::optional<Position>> open(const std::shared_ptr<Assignment>& assignment) {
        if (!sink_) start();
        return sink_->open(assignment);
    }
    // Values from `first` on, as records with these offsets.
    Outcome write(const std::shared_ptr<Assignment>& assignment, int64_t first, const std::vector<std::string>& values) {
        batch_.begin(assignment, first);
        for (size_t i = 0; i < values.size(); i++) batch_.add(first + static_cast<int64_t>(i), 0, values[i]);
        return sink_->write(batch_, 0);
    }
    std::string content() const { return disk_.content(kPath).value_or("(none)"); }
    // Closes and opens again, as after a restart of the consumer.
    Result<std::optional<Position>> reopen(const std::shared_ptr<Assignment>& assignment) {
        sink_.reset();
        disk_.restart_process();
        return open(assignment);
    }

    static constexpr const char* kPath = "/root/f.log";
    static constexpr const char* kCheckpoint = "/root/f.log.checkpoint";
    SimDisk disk_;
    RecordingAcks acks_;
    FileSinkOptions options_;
    std::unique_ptr<FileSink> sink_;
    Batch batch_;
    std::shared_ptr<Assignment> p0_ = make_assignment(0);
    std::shared_ptr<Assignment> p1_ = make_assignment(1);
};

inline constexpr auto kAccepted = Outcome::Kind::accepted;
inline constexpr auto kDurable = Outcome::Kind::durable;
inline constexpr auto kRetry = Outcome::Kind::retry;
inline constexpr auto kFatal = Outcome::Kind::fatal;

}  // namespace fetcher
