// Forwarding: a forwarder with its own threads, between a test that feeds it as the engine does and connections to a server in memory.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <set>

#include "processors/streaming_forwarder.h"
#include "sink_world.h"

namespace fetcher {

using namespace std::chrono_literals;

inline HttpAnswer answered(int status, std::string body = {}) { return {.kind = HttpAnswer::Kind::answered, .status = status, .body = std::move(body)}; }

// What all connections lead to. Thread: any
struct FakeServer {
    struct Sent {
        std::string key, body;
        bool operator==(const Sent&) const = default;
    };
    std::function<HttpAnswer(const Sent&)> decide = [](const Sent&) { return answered(200); };
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Sent> sent;
    bool hanging = false;  // requests are taken and not answered until they are aborted

    bool wait_sent(size_t n) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, 20s, [&] { return sent.size() >= n; });
    }
    void answer_again() {
        const std::lock_guard lock(mutex);
        hanging = false;
        changed.notify_all();
    }
    std::vector<Sent> all() {
        const std::lock_guard lock(mutex);
        return sent;
    }
};

class FakeConnection final : public HttpConnection {
  public:
    explicit FakeConnection(FakeServer& server) : server_(server) {}
    HttpAnswer send(const OutgoingRequest& request) override {
        std::unique_lock lock(server_.mutex);
        if (aborted_) return {.kind = HttpAnswer::Kind::aborted};
        const FakeServer::Sent sent{request.headers.back().second, std::string(request.body)};
        server_.sent.push_back(sent);
        server_.changed.notify_all();
        server_.changed.wait_for(lock, 20s, [&] { return !server_.hanging || aborted_; });
        return aborted_ ? HttpAnswer{.kind = HttpAnswer::Kind::aborted} : server_.decide(sent);
    }
    void abort() override {
        const std::lock_guard lock(server_.mutex);
        aborted_ = true;
        server_.changed.notify_all();
    }

    void rearm() override {
        const std::lock_guard lock(server_.mutex);
        aborted_ = false;
    }

  private:
    FakeServer& server_;
    bool aborted_ = false;
};

class EngineSide final : public Acks {
  public:
    void durable(const std::shared_ptr<Assignment>& assignment, int64_t next) override {
        const std::lock_guard lock(mutex_);
        durable_[assignment->partition] = std::max(durable_[assignment->partition], next);
        changed_.notify_all();
    }
    void failed(Error error) override { end(error.reason); }
    bool refused(const Batch& batch, const std::vector<BadRecord>& bad) override {
        end("offset " + std::to_string(batch.record(bad.front().index).offset()) + ": " + bad.front().why);
        return false;
    }
    void give_back(const Batch& batch) override {
        const std::lock_guard lock(mutex_);
        EXPECT_EQ(held_.erase(&batch), 1u) << "once, and only what was held";
    }
    void retrying(const std::string& why, std::chrono::system_clock::time_point) override {
        const std::lock_guard lock(mutex_);
        trouble_ = why;
        changed_.notify_all();
    }
    void recovered() override {
        const std::lock_guard lock(mutex_);
        trouble_.clear();
        changed_.notify_all();
    }
    void hold(const Batch& batch) {
        const std::lock_guard lock(mutex_);
        held_.insert(&batch);
    }
    size_t held() {
        const std::lock_guard lock(mutex_);
        return held_.size();
    }
    bool wait_durable(int32_t partition, int64_t next) {
        return wait([&] { return durable_[partition] >= next; });
    }
    int64_t durable_below(int32_t partition) {
        const std::lock_guard lock(mutex_);
        return durable_[partition];
    }
    std::string wait_end() {
        wait([&] { return !end_.empty(); });
        const std::lock_guard lock(mutex_);
        return end_;
    }
    bool wait_trouble(bool some) {
        return wait([&] { return trouble_.empty() != some; });
    }

  private:
    template <class Condition>
    bool wait(Condition done) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, 20s, done);
    }
    void end(const std::string& why) {
        const std::lock_guard lock(mutex_);
        if (end_.empty()) end_ = why;
        changed_.notify_all();
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<int32_t, int64_t> durable_;
    std::set<const Batch*> held_;
    std::string end_, trouble_;
};

class Forwarding : public ::testing::Test {
  protected:
    Forwarding() {
        std::filesystem::remove_all(folder_);
        options_.endpoint_url = "http://h/in";
        options_.format.framing = BodyFormat::Framing::ndjson;
        options_.limits = {10, 1 << 20, 5ms, true};
    }
    ~Forwarding() override {
        stop();
        std::filesystem::remove_all(folder_);
    }
    void use_tokens() {
        options_.auth = {.kind = ForwarderAuth::Kind::oauth2, .token_url = "http://tokens/", .client_id = "id", .client_secret = "hush"};
        tokens_.decide = [](const auto&) { return answered(200, R"({"access_token": "abc"})"); };
    }
    void start() {
        StreamingForwarder::Setup setup;
        setup.options = options_;
        setup.server.url = *parse_http_url(options_.endpoint_url);
        setup.memory_folder = folder_;
        setup.memory_name = "m";
        setup.pin_threads = pin_threads_;
        if (options_.auth.kind == ForwarderAuth::Kind::oauth2) setup.token_server.url = *parse_http_url(options_.auth.token_url);
        setup.connector = [this](const HttpServerAddress& address) {
            return std::make_unique<FakeConnection>(address.url.host == "tokens" ? tokens_ : server_);
        };
        forwarder_ = std::make_unique<StreamingForwarder>(std::move(setup));
        forwarder_->bind(engine_);
    }
    void stop() {
        forwarder_.reset();
        EXPECT_EQ(engine_.held(), 0u) << "the engine has every batch back";
    }
    std::optional<Position> open(const std::shared_ptr<Assignment>& assignment) {
        const auto position = forwarder_->open(assignment);
        EXPECT_TRUE(position);
        return *position;
    }
    void write(const std::shared_ptr<Assignment>& assignment, int64_t first, int64_t count) {
        auto& batch = *batches_.emplace_back(std::make_unique<Batch>());
        batch.begin(assignment, first);
        for (int64_t i = 0; i < count; i++) batch.add(first + i, 0, std::to_string(first + i));
        batch.set_next_offset(first + count);
        engine_.hold(batch);
        EXPECT_EQ(forwarder_->write(batch, 0).kind, Outcome::Kind::held);
    }

    const std::string folder_ = ::testing::TempDir() + "forwarder_" + std::to_string(::getpid());
    FakeServer server_, tokens_;
    EngineSide engine_;
    ForwarderOptions options_;
    bool pin_threads_ = false;
    std::vector<std::unique_ptr<Batch>> batches_;
    std::unique_ptr<StreamingForwarder> forwarder_;
    std::shared_ptr<Assignment> p0_ = make_assignment(0), p1_ = make_assignment(1);
};

}  // namespace fetcher
