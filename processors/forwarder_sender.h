// ForwarderSender: one thread with one kept connection that sends what the queue hands it.
// Thread: start, stop and abort any; the rest its own
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "processors/delivery_queue.h"
#include "processors/http_connection.h"
#include "processors/request_body.h"
#include "processors/request_headers.h"

namespace fetcher {

class ForwarderSender {
  public:
    // queue and headers outlive it. pin: to a core, the next one in turn. A sender and a server on the same machine then stay together: moved
    // about at each waking they cost twice the CPU a request (perf/README.md).
    ForwarderSender(size_t index, std::string method, BodyFormat format, DeliveryQueue& queue, RequestHeaders& headers,
                    std::unique_ptr<HttpConnection> connection, bool pin);
    ~ForwarderSender();  // the queue must have been stopped
    ForwarderSender(const ForwarderSender&) = delete;
    ForwarderSender& operator=(const ForwarderSender&) = delete;

    void abort() { connection_->abort(); }

  private:
    void run();
    void deliver(const DeliveryQueue::Job& job);
    HttpAnswer send(const std::shared_ptr<const HttpHeaders>& headers, const DeliveryQueue::Job& job);
    std::string excerpt(const HttpAnswer& answer) const;

    const size_t index_;
    DeliveryQueue& queue_;
    RequestHeaders& headers_;
    const std::unique_ptr<HttpConnection> connection_;
    RequestBody body_;
    std::shared_ptr<const HttpHeaders> used_;  // what request_ was made of
    OutgoingRequest request_;                      // its last header is the Idempotency-Key
    std::thread thread_;
};

}  // namespace fetcher
