// The client side of the library is included here alone: it is large.
#include "processors/http_connection.h"

#include <httplib.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "engine/host_resolver.h"

namespace fetcher {
namespace {

constexpr size_t kKeptAnswerBytes = 4096;
constexpr size_t kSentWithHeadBytes = size_t{16} << 10;  // bodies up to here go out in one piece with the head
constexpr size_t kMostAnswerBytes = size_t{1} << 20;  // beyond it the connection is given up; the status counts all the same

bool is_distrust(httplib::Error error) {
    return error == httplib::Error::SSLServerVerification || error == httplib::Error::SSLServerHostnameVerification ||
           error == httplib::Error::SSLLoadingCerts;
}

std::string words(httplib::Error error, bool late) {
    using httplib::Error;
    switch (error) {
        case Error::Connection: return "cannot connect";
        case Error::ConnectionTimeout: return "cannot connect within the connect_timeout";
        case Error::SSLConnection: return "the TLS handshake failed";
        case Error::SSLServerVerification: return "its certificate is signed by nobody who is trusted; name the authority's certificate in ca_file";
        case Error::SSLServerHostnameVerification: return "its certificate is for another host";
        case Error::SSLLoadingCerts: return "the certificates of ca_file cannot be read";
        case Error::Write:
        case Error::Read: return late ? "no whole answer within the request_timeout" : "the connection was cut";
        default: return "the request failed (" + httplib::to_string(error) + ")";
    }
}

class LibraryConnection final : public HttpConnection {
  public:
    explicit LibraryConnection(HttpServerAddress address) : address_(std::move(address)) {}

    HttpAnswer send(const OutgoingRequest& request) override {
        if (std::chrono::steady_clock::now() - used_ >= address_.longest_idle) disconnect();
        const bool kept = client_ && client_->is_socket_open() != 0;
        auto answer = send_once(request, kept);
        const bool stale = kept && answer.kind == HttpAnswer::Kind::broken && !late_;
        return stale ? send_once(request, false) : answer;
    }

    void abort() override {
        aborted_.store(true);
        // While it connects, the client holds its lock: then the flag alone tells it, when the connection stands.
        if (!sending_.load()) return;
        const std::lock_guard lock(mutex_);
        if (client_) client_->stop();
    }

    void rearm() override { aborted_.store(false); }

  private:
    void disconnect() {
        const std::lock_guard lock(mutex_);
        client_.reset();
    }

    HttpAnswer send_once(const OutgoingRequest& request, bool kept) {
        late_ = false;
        const auto begin = std::chrono::steady_clock::now();
        if (!client_ || client_->is_socket_open() == 0) {
            if (auto refusal = prepare()) return *refusal;
        }
        if (aborted_.load()) return end({.kind = HttpAnswer::Kind::aborted});

        HttpAnswer answer;
        size_t answer_bytes = 0;
        httplib::Request out;
        out.method = request.method;
        out.path = address_.url.target;
        for (const auto& [name, value] : request.headers) out.headers.emplace(name, value);
        out.start_time_ = begin;
        const bool with_head = request.body.size() <= kSentWithHeadBytes;
        body_with_head_ = with_head ? request.body : std::string_view();
        if (!request.body.empty()) {
            if (with_head) out.headers.emplace("Content-Length", std::to_string(request.body.size()));
            else out.content_length_ = request.body.size();
            out.content_provider_ = [&](size_t offset, size_t length, httplib::DataSink& sink) {
                sending_.store(true);
                return !aborted_.load() && sink.write(request.body.data() + offset, length);
            };
        }
        out.content_receiver = [&](const char* bytes, size_t n, size_t, size_t) {
            answer_bytes += n;
            if (answer.body.size() < kKeptAnswerBytes) answer.body.append(bytes, std::min(n, kKeptAnswerBytes - answer.body.size()));
            return answer_bytes <= kMostAnswerBytes;
        };
        httplib::Response in;
        auto error = httplib::Error::Success;
        bool done = false;
        try {
            done = client_->send(out, in, error);
            sending_.store(false);
        } catch (const std::exception& failure) {
            disconnect();  // whatever state it is in
            answer.kind = aborted_.load() ? HttpAnswer::Kind::aborted : HttpAnswer::Kind::broken;
            answer.trouble = failure.what();
            return end(std::move(answer));
        }
        // The library takes an interim answer for the last one; what comes behind it must not be taken for that of the next request.
        if (in.status > 0 && in.status < 200) {
            client_->stop();
            answer.trouble = "it sent the interim answer " + std::to_string(in.status) + ", of which only 100 is understood";
            return end(std::move(answer));
        }
        // Some answer (413) and close before they have read all of a body. What lies on a kept connection may be of no request at all.
        const bool early = !kept && !aborted_.load() && in.status >= 400 && (error == httplib::Error::Write || error == httplib::Error::Canceled);
        if (done || early || answer_bytes > kMostAnswerBytes) {
            answer.kind = HttpAnswer::Kind::answered;
            answer.status = in.status;
            answer.retry_after = in.get_header_value("Retry-After");
            return end(std::move(answer));
        }
        late_ = std::chrono::steady_clock::now() - begin >= address_.request_timeout;
        answer.kind = aborted_.load() ? HttpAnswer::Kind::aborted : is_distrust(error) ? HttpAnswer::Kind::refused : HttpAnswer::Kind::broken;
        answer.trouble = words(error, late_);
        return end(std::move(answer));
    }

    // Called when the connection stands. The library sends head and body for themselves, which costs twice the calls, packets and wakings of the
    // server; what is written here goes out as one.
    ssize_t write_head(httplib::Stream& stream, const httplib::Headers& headers) {
        sending_.store(true);
        if (aborted_.load()) throw std::runtime_error("aborted");  // an error would have the library wait for an answer all the same
        std::string text;
        for (const auto& [name, value] : headers) text.append(name).append(": ").append(value).append("\r\n");
        text.append("\r\n").append(body_with_head_);
        return stream.write(text.data(), text.size());
    }

    HttpAnswer end(HttpAnswer answer) {
        sending_.store(false);
        used_ = std::chrono::steady_clock::now();
        return answer;
    }

    // An address in writing is not asked about.
    Result<std::vector<IpAddress>> addresses_of(const std::string& host) const {
        if (const auto literal = IpAddress::parse(host)) return std::vector{*literal};
        const auto found = resolve_host(host, std::chrono::steady_clock::now() + address_.connect_timeout);
        if (!found) return tl::unexpected<Error>(found.error());
        std::vector<IpAddress> addresses;
        for (const auto& text : *found) {
            if (const auto address = IpAddress::parse(text)) addresses.push_back(*address);  // none with a zone
        }
        if (addresses.empty()) return transient("the host " + host + " has no address that can be used");
        return addresses;
    }

    // A new client for a new connection, to an address that was judged. Why not, if not.
    std::optional<HttpAnswer> prepare() {
        const auto& url = address_.url;
        const auto found = addresses_of(url.host);
        if (!found) return HttpAnswer{.kind = HttpAnswer::Kind::broken, .trouble = found.error().reason};
        std::vector<IpAddress> allowed;
        std::string objection;
        for (const auto& each : *found) {
            if (auto words = address_.rules.objection(url.host, each)) objection = std::move(*words);
            else allowed.push_back(each);
        }
        if (allowed.empty()) return HttpAnswer{.kind = HttpAnswer::Kind::refused, .trouble = std::move(objection)};
        const IpAddress chosen = allowed[tries_++ % allowed.size()];
        auto client = std::make_unique<httplib::Client>((url.tls ? "https://" : "http://") +
                                                        (url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]") + ":" +
                                                        std::to_string(url.port));
        if (!client->is_valid()) return HttpAnswer{.kind = HttpAnswer::Kind::broken, .trouble = "no client can be made for it"};
        client->set_hostname_addr_map({{url.host, chosen.text()}});
        client->set_keep_alive(true);
        client->set_header_writer([this](httplib::Stream& stream, const httplib::Headers& headers) { return write_head(stream, headers); });
        client->set_follow_location(false);
        client->set_path_encode(false);
        client->set_decompress(false);
        client->set_tcp_nodelay(true);
        client->set_connection_timeout(address_.connect_timeout);
        client->set_read_timeout(address_.request_timeout);
        client->set_write_timeout(address_.request_timeout);
        client->set_max_timeout(address_.request_timeout);
        if (url.tls) {
            client->enable_server_certificate_verification(true);
            client->enable_server_hostname_verification(true);
            // No last word, whoever closes the connection: the library would wait for the answer to it, from a peer that may have forgotten us.
            SSL_CTX_set_quiet_shutdown(static_cast<SSL_CTX*>(client->tls_context()), 1);
            if (!address_.ca_file.empty()) client->set_ca_cert_path(address_.ca_file);
        }
        const std::lock_guard lock(mutex_);
        client_ = std::move(client);
        return std::nullopt;
    }

    const HttpServerAddress address_;
    std::mutex mutex_;  // of client_, against abort()
    std::unique_ptr<httplib::Client> client_;
    std::string_view body_with_head_;  // of the request that is being sent
    std::chrono::steady_clock::time_point used_{};  // last
    size_t tries_ = 0;
    bool late_ = false;
    std::atomic<bool> sending_{false};
    std::atomic<bool> aborted_{false};
};

}  // namespace

std::unique_ptr<HttpConnection> make_http_connection(const HttpServerAddress& address) {
    return std::make_unique<LibraryConnection>(address);
}

}  // namespace fetcher
