// ForwarderOptions: the configuration of a streaming_forwarder, its JSON Schema, and what of it is shown.
// Thread: any; never changes
#pragma once

#include <chrono>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "processors/partition_feed.h"
#include "processors/registry.h"
#include "processors/request_body.h"

namespace fetcher {

struct ForwarderAuth {
    enum class Kind { none, basic, bearer, oauth2 };
    Kind kind = Kind::none;
    // May hold references to secrets.
    std::string username, password;
    std::string token;
    std::string token_url, client_id, client_secret, scope;
};

struct ForwarderOptions {
    std::string endpoint_url;
    std::string method = "POST";
    std::map<std::string, std::string> headers;  // values may hold references to secrets
    BodyFormat format;
    RangeLimits limits;
    size_t max_in_flight = 4;
    std::chrono::milliseconds connect_timeout{5'000};
    std::chrono::milliseconds request_timeout{30'000};
    std::string ca_file;  // a name in CERTIFICATES_DIR
    ForwarderAuth auth;

    static nlohmann::json schema();
    // Requires that config has passed the schema.
    static ForwarderOptions from(const nlohmann::json& config);
    // What the schema cannot say: the URL and where it leads, headers, durations, what kind of auth needs what.
    static std::vector<ConfigProblem> check(const nlohmann::json& config, const ProcessorEnvironment& environment);
    // Secrets that are written out are replaced; references to secrets are shown.
    static nlohmann::json masked(const nlohmann::json& config);
};

}  // namespace fetcher
