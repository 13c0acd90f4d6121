// HttpConnection: one kept connection to one server, one request at a time.
//
// The address is resolved for each new connection, judged by AddressRules, and that very address is connected to. Redirects are not
// followed, no proxy is used, certificates and host names are verified. An answer's bytes and the whole time are capped.
// Thread: send() its owner's; abort() any
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "processors/address_rules.h"
#include "processors/http_url.h"

namespace fetcher {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct OutgoingRequest {
    std::string method;
    HttpHeaders headers;
    std::string_view body;  // must live through send()
};

struct HttpAnswer {
    enum class Kind {
        answered,  // status holds
        broken,    // no connection, cut, or no whole answer in time: it may or may not have arrived
        refused,   // by the rules, or its certificate is not to be trusted; nothing was sent
        aborted,
    };
    Kind kind = Kind::broken;
    int status = 0;
    std::string retry_after;
    std::string body;     // its beginning
    std::string trouble;  // where there is no answer: why, for a person
};

struct HttpServerAddress {
    HttpUrl url;
    std::chrono::milliseconds connect_timeout{5'000};
    std::chrono::milliseconds request_timeout{30'000};  // of the whole request, connecting included
    std::string ca_file;                                // absolute; empty: the system's
    AddressRules rules;
    std::chrono::milliseconds longest_idle{10'000};  // a kept connection that was not used for so long may be forgotten on the way: a new one is made
};

class HttpConnection {
  public:
    virtual ~HttpConnection() = default;
    // To the path of the url. Connects where there is no connection. A kept connection that the server has closed meanwhile is
    // replaced, once, without a word.
    virtual HttpAnswer send(const OutgoingRequest& request) = 0;
    // Makes a send() that is under way return soon (at the latest after connect_timeout), and each that follows at once, until rearm().
    virtual void abort() = 0;
    // Forgets an abort(). Thread: the owner's
    virtual void rearm() = 0;
};

using HttpConnector = std::function<std::unique_ptr<HttpConnection>(const HttpServerAddress&)>;

// Touches nothing before send().
std::unique_ptr<HttpConnection> make_http_connection(const HttpServerAddress& address);

}  // namespace fetcher
