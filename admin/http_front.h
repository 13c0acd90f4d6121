// HttpFront: holds the connections until a request is whole, and only then gives it to a worker; sends the answers. A slow client thus
// costs a descriptor and a few bytes, never a thread, and health is answered by threads of its own whatever the others do.
//
// Limits: connections in all and for each address (a newcomer displaces the one that has kept us waiting longest), bytes buffered, a
// deadline for the whole request, for idleness and for taking the answer. One that has been refused is drained for a moment before it is
// closed, so that the client sees the answer and not a reset.
// Thread: adopt(), stop() any; all else its own
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "admin/request_framing.h"
#include "admin/worker_pool.h"

namespace fetcher {

struct HttpFrontOptions {
    size_t max_connections = 512;
    size_t max_connections_per_address = 128;
    size_t max_buffered_bytes = size_t{32} << 20;
    size_t threads = 24;
    size_t health_threads = 2;
    std::chrono::milliseconds request_deadline{10'000};
    std::chrono::milliseconds idle_deadline{30'000};
    std::chrono::milliseconds send_deadline{10'000};
    std::chrono::milliseconds linger{1'000};
};

struct HttpReply {
    std::string bytes;
    bool keep_alive = false;
};

class HttpFront {
  public:
    struct Callbacks {
        std::function<HttpReply(std::string head, std::string body)> serve;  // on a worker
        std::function<HttpReply(const Problem&)> refuse;                     // on the front's thread
        std::function<bool(const std::string& path)> is_health;
    };

    HttpFront(HttpFrontOptions options, Callbacks callbacks);
    ~HttpFront();
    HttpFront(const HttpFront&) = delete;
    HttpFront& operator=(const HttpFront&) = delete;

    void adopt(int fd);  // takes an accepted connection over
    // Closes idle connections, lets requests that are being served finish until grace is over, and ends.
    void stop(std::chrono::milliseconds grace);

  private:
    using Time = std::chrono::steady_clock::time_point;
    enum class State { reading, serving, sending, lingering };
    struct Connection {
        uint64_t id = 0;
        int fd = -1;
        std::string address;
        State state = State::reading;
        std::string received;
        size_t judged_bytes = 0;            // of received, when the head was last looked at
        std::optional<RequestFrame> frame;  // once the head is whole
        bool sent_continue = false;
        HttpReply reply;
        size_t sent = 0;
        Time waiting_since;  // for the client
        Time deadline;
    };

    void run();
    void take_over(int fd);
    void make_room(const std::string& address);
    void take_messages();
    void on_event(Connection& connection, uint32_t events);
    bool receive(Connection& connection);  // false: it is gone
    void advance(Connection& connection);
    bool worth_judging(const Connection& connection) const;
    void dispatch(Connection& connection);
    void answer(Connection& connection, HttpReply reply);
    void refuse(Connection& connection, const Problem& problem);
    void send_some(Connection& connection);
    void finish_reply(Connection& connection);
    void watch(Connection& connection, uint32_t events);
    void close(uint64_t id);
    void limit_buffers();
    Time expire(Time now);  // returns when to look again
    void ring();

    const HttpFrontOptions options_;
    const Callbacks callbacks_;
    int epoll_ = -1;
    int bell_ = -1;
    uint64_t next_id_ = 1;
    std::unordered_map<uint64_t, Connection> connections_;

    std::mutex mutex_;  // for what other threads hand in: all below
    std::vector<int> adopted_;
    std::vector<std::pair<uint64_t, HttpReply>> replies_;
    bool stopping_ = false;
    Time stop_at_{};

    std::unique_ptr<WorkerPool> workers_;
    std::unique_ptr<WorkerPool> health_workers_;
    std::thread thread_;
};

}  // namespace fetcher
