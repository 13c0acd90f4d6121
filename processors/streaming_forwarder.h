// StreamingForwarder: sends a consumer's records to an HTTP endpoint, at least once, each range of them under a key that a repetition has too.
//
// The worker hands batches over and keeps none waiting: max_in_flight senders, each with a thread and a connection, take ranges from
// the DeliveryQueue, and an answer acknowledges. The guarantee and its limits: processors/README.md. Thread: worker; its senders call only Acks
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/processor.h"
#include "processors/delivery_queue.h"
#include "processors/forwarder_options.h"
#include "processors/forwarder_sender.h"
#include "processors/http_connection.h"
#include "processors/request_headers.h"

namespace fetcher {

class StreamingForwarder final : public Processor {
  public:
    struct Setup {
        ForwarderOptions options;
        HttpServerAddress server;
        HttpServerAddress token_server;  // only for oauth2
        std::string secrets_dir;
        std::string memory_folder;  // empty: nothing is remembered
        std::string memory_name;    // of this forwarder's files in it
        RetryPolicy retry;
        bool pin_threads = false;  // each sender to a core
        HttpConnector connector = make_http_connection;
    };

    explicit StreamingForwarder(Setup setup);
    ~StreamingForwarder() override;

    RecordParts parts() const override;
    void bind(Acks& acks) override { queue_.bind(acks); }
    Result<std::optional<Position>> open(const std::shared_ptr<Assignment>& assignment) override;
    Outcome write(const Batch& batch, size_t first) override;
    Outcome flush() override;
    void close(const Assignment& assignment) override;
    std::optional<Clock::time_point> wake_at() const override;
    Outcome on_timer() override;

  private:
    void abort_overdue();

    const Setup setup_;
    DeliveryQueue queue_;
    RequestHeaders headers_;
    std::vector<std::unique_ptr<ForwarderSender>> senders_;  // made with the first partition
    std::optional<Clock::time_point> next_look_;             // for requests that take too long
};

}  // namespace fetcher
