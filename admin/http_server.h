// HttpServer: cpp-httplib accepts, parses and writes; HttpFront decides when a request is whole, HttpGate whether it may pass, Router who
// answers it. The library's header is included by http_server.cc alone.
// Thread: any
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "admin/http_front.h"
#include "admin/http_gate.h"
#include "admin/router.h"
#include "engine/result.h"

namespace fetcher {

struct HttpServerOptions {
    std::string host;
    uint16_t port = 0;  // 0: any free one
    HttpGateOptions gate;
    HttpFrontOptions front;
};

class HttpServer {
  public:
    // The router outlives the server and does not change any more.
    HttpServer(HttpServerOptions options, const Router& router);
    ~HttpServer();

    Result<void> listen();  // binds and begins to answer
    uint16_t port() const;
    void stop_accepting();  // no new connections; requests under way go on
    void stop(std::chrono::milliseconds grace);

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fetcher
