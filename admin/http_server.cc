#define CPPHTTPLIB_LISTEN_BACKLOG 511  // the library's 5 makes a burst of clients wait a second for their handshake
#include "admin/http_server.h"

#include <httplib.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstring>
#include <thread>

namespace fetcher {

namespace {

// A whole request in memory, as a stream that the library can read; collects what it writes.
class MemoryStream : public httplib::Stream {
  public:
    explicit MemoryStream(std::string_view input) : input_(input) {}
    std::string take_output() { return std::move(output_); }

    bool is_readable() const override { return !input_.empty(); }
    bool wait_readable() const override { return true; }
    bool wait_writable() const override { return true; }
    ssize_t read(char* target, size_t size) override {
        const auto count = std::min(size, input_.size());
        std::memcpy(target, input_.data(), count);
        input_.remove_prefix(count);
        return static_cast<ssize_t>(count);
    }
    ssize_t write(const char* source, size_t size) override {
        output_.append(source, size);
        return static_cast<ssize_t>(size);
    }
    void get_remote_ip_and_port(std::string&, int&) const override {}
    void get_local_ip_and_port(std::string&, int&) const override {}
    socket_t socket() const override { return INVALID_SOCKET; }
    time_t duration() const override { return 0; }
    void set_read_timeout(time_t, time_t) override {}

  private:
    std::string_view input_;
    std::string output_;
};

// The library hands each connection to its task queue; ours goes straight on to the front.
class Inline : public httplib::TaskQueue {
  public:
    bool enqueue(std::function<void()> job) override {
        job();
        return true;
    }
    void shutdown() override {}
};

HttpRequest request_of(const httplib::Request& from) {
    HttpRequest request;
    request.method = from.method;
    request.path = from.path;
    request.headers.assign(from.headers.begin(), from.headers.end());
    request.query.insert(from.params.begin(), from.params.end());
    request.body = from.body;
    return request;
}

void put(const HttpResponse& from, httplib::Response& to) {
    to.status = from.status;
    for (const auto& [name, value] : from.headers) to.set_header(name, value);
    if (!from.content_type.empty()) to.set_content(from.body, from.content_type);
}

}  // namespace

class HttpServer::Impl : public httplib::Server {
  public:
    Impl(HttpServerOptions options, const Router& router) : options_(std::move(options)), router_(router), gate_(options_.gate) {
        new_task_queue = [] { return new Inline; };  // owned by the library
        // Its own default is SO_REUSEPORT, with which a second process on the same port would go unnoticed.
        set_socket_options([](socket_t fd) { httplib::set_socket_opt(fd, SOL_SOCKET, SO_REUSEADDR, 1); });
        set_tcp_nodelay(true);
        set_keep_alive_timeout(std::chrono::duration_cast<std::chrono::seconds>(options_.front.idle_deadline).count());
        set_default_headers({{"X-Content-Type-Options", "nosniff"},
                             {"Cache-Control", "no-store"},
                             {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
                             {"Referrer-Policy", "no-referrer"}});
        set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
            put(handle(request), response);
            return HandlerResponse::Handled;
        });
        // What the library refuses before routing.
        set_error_handler(HandlerWithResponse([](const httplib::Request&, httplib::Response& response) {
            if (!response.body.empty()) return HandlerResponse::Unhandled;
            put(problem_response({response.status, "The request is malformed.", {}, {}}), response);
            return HandlerResponse::Handled;
        }));
        set_post_routing_handler([](const httplib::Request&, httplib::Response& response) {
            response.headers.erase("Accept-Ranges");
            if (response.status == 204) response.headers.erase("Content-Length");
        });
    }

    ~Impl() override { stop_all(std::chrono::milliseconds{0}); }

    Result<void> begin() {
        errno = 0;
        bound_port_ =
            options_.port == 0 ? bind_to_any_port(options_.host) : (bind_to_port(options_.host, options_.port) ? options_.port : -1);
        if (bound_port_ < 0) return why_not_bound(errno);
        front_ = std::make_unique<HttpFront>(
            options_.front, HttpFront::Callbacks{[this](std::string head, std::string body) { return serve(head, std::move(body)); },
                                                 [](const Problem& problem) { return refusal(problem); },
                                                 [this](const std::string& path) { return router_.is_open(path); }});
        acceptor_ = std::thread([this] { listen_after_bind(); });
        wait_until_ready();
        return {};
    }

    uint16_t bound_port() const { return static_cast<uint16_t>(bound_port_); }

    void stop_accepting() {
        if (!acceptor_.joinable()) return;
        httplib::Server::stop();
        acceptor_.join();
    }

    void stop_all(std::chrono::milliseconds grace) {
        stop_accepting();
        if (front_) front_->stop(grace);
        front_.reset();
    }

  private:
    bool process_and_close_socket(socket_t fd) override {
        front_->adopt(fd);
        return true;
    }

    tl::unexpected<Error> why_not_bound(int error) const {
        const auto port = std::to_string(options_.port);
        if (error == EADDRINUSE)
            return fatal("PORT " + port + " is in use on " + options_.host + ". Stop what listens there, or set PORT to another one");
        if (error == EACCES) return fatal("PORT " + port + " may not be used by this user. Set PORT to one above 1023");
        return fatal("cannot listen on HOST " + options_.host + " PORT " + port + (error ? std::string(": ") + std::strerror(error) : ""));
    }

    // On a worker: the library parses the head, the handler below answers, the library writes.
    HttpReply serve(const std::string& head, std::string body) {
        MemoryStream stream(head);
        bool close = false;
        const auto prepare = [&](httplib::Request& request) {
            request.headers.erase("Expect");  // the front has answered it
            request.ranges.clear();
            request.body = std::move(body);
            request.body_consumed_ = true;
        };
        process_request(stream, "", 0, "", 0, false, close, prepare);
        auto bytes = stream.take_output();
        const bool keep = !close && bytes.find("\r\nConnection: close\r\n") == std::string::npos;
        return {std::move(bytes), keep};
    }

    HttpResponse handle(const httplib::Request& from) {
        auto request = request_of(from);
        if (const auto refused = gate_.refuse(request, router_.is_open(request.path))) return problem_response(*refused);
        try {
            auto response = router_.route(request);
            spdlog::debug("{} {} {}", request.method, request.path, response.status);
            return response;
        } catch (const std::exception& error) {
            spdlog::error("{} {}: {}", request.method, request.path, error.what());
            return problem_response({500, "The server made a mistake; its log says more.", {}, {}});
        }
    }

    static HttpReply refusal(const Problem& problem) {
        const auto response = problem_response(problem);
        return {"HTTP/1.1 " + std::to_string(response.status) + " " + status_title(response.status) +
                    "\r\nContent-Type: " + response.content_type + "\r\nContent-Length: " + std::to_string(response.body.size()) +
                    "\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n" + response.body,
                false};
    }

    const HttpServerOptions options_;
    const Router& router_;
    const HttpGate gate_;
    std::unique_ptr<HttpFront> front_;
    std::thread acceptor_;
    int bound_port_ = -1;
};

HttpServer::HttpServer(HttpServerOptions options, const Router& router) : impl_(std::make_unique<Impl>(std::move(options), router)) {}
HttpServer::~HttpServer() = default;
Result<void> HttpServer::listen() { return impl_->begin(); }
uint16_t HttpServer::port() const { return impl_->bound_port(); }
void HttpServer::stop_accepting() { impl_->stop_accepting(); }
void HttpServer::stop(std::chrono::milliseconds grace) { impl_->stop_all(grace); }

}  // namespace fetcher
