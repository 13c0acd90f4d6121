#include "processors/forwarder_sender.h"

#include <pthread.h>

#include <algorithm>

#include "engine/cpu_pinning.h"

namespace fetcher {
namespace {

constexpr size_t kExcerptBytes = 200;

}  // namespace

ForwarderSender::ForwarderSender(size_t index, std::string method, BodyFormat format, DeliveryQueue& queue, RequestHeaders& headers,
                                 std::unique_ptr<HttpConnection> connection, bool pin)
    : index_(index), queue_(queue), headers_(headers), connection_(std::move(connection)), body_(format) {
    request_.method = std::move(method);
    thread_ = std::thread([this, pin] {
        if (pin) pin_this_thread();
        run();
    });
    pthread_setname_np(thread_.native_handle(), "http sender");
}

ForwarderSender::~ForwarderSender() {
    abort();
    thread_.join();
}

void ForwarderSender::run() {
    try {
        for (;;) {
            connection_->rearm();  // before the job is taken: whoever gives its partition up after that is not overheard
            const auto job = queue_.next(index_);
            if (!job) return;
            deliver(*job);
        }
    } catch (const std::exception& error) {
        queue_.fail(std::string("the forwarder failed: ") + error.what());
    }
}

void ForwarderSender::deliver(const DeliveryQueue::Job& job) {
    auto body = body_.encode(job.range());
    if (!body) {
        queue_.fail(body.error().reason);
        return queue_.retry(job, body.error().reason);
    }
    request_.body = *body;
    for (int tries = 0;; tries++) {
        const auto headers = headers_.current();
        if (!headers) {
            if (headers.error().kind == ErrorKind::fatal) queue_.fail(headers.error().reason);
            return queue_.retry(job, headers.error().reason);
        }
        const auto answer = send(*headers, job);
        // A token may have been revoked before its time: once with a new one.
        const bool unauthorized = answer.kind == HttpAnswer::Kind::answered && answer.status == 401;
        if (unauthorized && tries == 0 && headers_.renew(*headers)) continue;
        return queue_.finish(job, answer, excerpt(answer));
    }
}

HttpAnswer ForwarderSender::send(const std::shared_ptr<const HttpHeaders>& headers, const DeliveryQueue::Job& job) {
    if (headers != used_) {
        used_ = headers;
        request_.headers = *headers;
        request_.headers.emplace_back("Idempotency-Key", "");
    }
    request_.headers.back().second = job.key();
    return connection_->send(request_);
}

// What a server says of a refusal is worth reading; what it repeats of our secrets is not.
std::string ForwarderSender::excerpt(const HttpAnswer& answer) const {
    if (answer.kind != HttpAnswer::Kind::answered || answer.status < 300) return {};
    std::string text = headers_.redacted(answer.body).substr(0, kExcerptBytes);
    std::ranges::replace_if(text, [](char c) { return c < 0x20 || c >= 0x7f; }, ' ');
    const size_t end = text.find_last_not_of(' ');
    return end == std::string::npos ? std::string() : text.substr(0, end + 1);
}

}  // namespace fetcher
