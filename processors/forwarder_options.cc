#include "processors/forwarder_options.h"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "processors/address_rules.h"
#include "processors/duration.h"
#include "processors/http_headers.h"
#include "processors/http_url.h"
#include "processors/secrets.h"

namespace fetcher {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using Framing = BodyFormat::Framing;
using Compression = BodyFormat::Compression;

constexpr const char* kMask = "***";

json duration_schema(const char* standard, const char* description) {
    return {{"type", "string"}, {"pattern", kDurationPattern}, {"default", standard}, {"description", description}};
}

json number_schema(int64_t least, int64_t most, int64_t standard, const char* description) {
    return {{"type", "integer"}, {"minimum", least}, {"maximum", most}, {"default", standard}, {"description", description}};
}

json choice_schema(json choices, const char* standard, const char* description) {
    return {{"type", "string"}, {"enum", std::move(choices)}, {"default", standard}, {"description", description}};
}

json text_schema(const char* description, bool secret = false) {
    json schema = {{"type", "string"}, {"minLength", 1}, {"maxLength", 8192}, {"description", description}};
    if (secret) schema["writeOnly"] = true;
    return schema;
}

json auth_schema() {
    json properties;
    properties["type"] = {{"type", "string"}, {"enum", {"basic", "bearer", "oauth2"}}, {"description", "How requests prove who sends them."}};
    properties["username"] = text_schema("basic: the user's name.");
    properties["password"] = text_schema("basic: the password, or ${secret:NAME}.", true);
    properties["token"] = text_schema("bearer: the token, or ${secret:NAME}.", true);
    properties["token_url"] = text_schema("oauth2 (client credentials): where tokens are fetched.");
    properties["client_id"] = text_schema("oauth2: the client's id.");
    properties["client_secret"] = text_schema("oauth2: the client's secret, or ${secret:NAME}.", true);
    properties["scope"] = text_schema("oauth2: the scope to ask for; none unless given.");
    return {{"type", "object"},
            {"additionalProperties", false},
            {"required", {"type"}},
            {"description", "Credentials for the Authorization header; none unless given."},
            {"properties", properties}};
}

void read_duration(const json& config, const char* name, milliseconds& into) {
    if (!config.contains(name)) return;
    if (const auto duration = parse_duration(config[name].get<std::string>())) into = *duration;
}

void check_duration(const json& config, const char* name, milliseconds least, milliseconds most, const char* words,
                    std::vector<ConfigProblem>& problems) {
    if (!config.contains(name)) return;
    const auto duration = parse_duration(config[name].get<std::string>());
    if (duration && *duration >= least && *duration <= most) return;
    problems.push_back({std::string("/") + name, std::string("must be a whole number with a unit (ms, s, m or h), ") + words});
}

void check_url(const std::string& pointer, const std::string& text, const AddressRules& rules, std::vector<ConfigProblem>& problems) {
    const auto url = parse_http_url(text);
    if (!url) return problems.push_back({pointer, url.error()});
    if (auto objection = rules.objection(url->host)) problems.push_back({pointer, std::move(*objection)});
}

void check_secret_text(const std::string& pointer, const std::string& text, std::vector<ConfigProblem>& problems) {
    if (text == kMask) problems.push_back({pointer, "is the mask that answers show instead of a secret; give the secret itself (again when endpoint_url changes), or ${secret:NAME}"});
    else if (auto problem = header_value_problem(text)) problems.push_back({pointer, std::move(*problem)});
}

std::string pointer_token(std::string_view key) {
    std::string token = "/";
    for (const char c : key) token += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    return token;
}

void check_headers(const ForwarderOptions& options, std::vector<ConfigProblem>& problems) {
    for (const auto& [name, value] : options.headers) {
        const std::string pointer = "/headers" + pointer_token(name);
        if (auto problem = header_name_problem(name)) problems.push_back({pointer, std::move(*problem)});
        else if (options.auth.kind != ForwarderAuth::Kind::none && same_header(name, "Authorization"))
            problems.push_back({pointer, "is what auth sets; give one of them"});
        check_secret_text(pointer, value, problems);
    }
}

void check_auth(const json& config, const AddressRules& rules, std::vector<ConfigProblem>& problems) {
    if (!config.contains("auth")) return;
    const json& auth = config["auth"];
    const auto type = auth.at("type").get<std::string>();
    const auto needs = [&](const char* name, const char* of) {
        const bool wanted = type == of;
        if (wanted && !auth.contains(name)) problems.push_back({std::string("/auth/") + name, "is required with " + type});
        if (!wanted && auth.contains(name)) problems.push_back({std::string("/auth/") + name, std::string("is for ") + of + "; leave it out"});
    };
    needs("username", "basic");
    needs("password", "basic");
    needs("token", "bearer");
    needs("token_url", "oauth2");
    needs("client_id", "oauth2");
    needs("client_secret", "oauth2");
    if (type != "oauth2" && auth.contains("scope")) problems.push_back({"/auth/scope", "is for oauth2; leave it out"});
    for (const auto& [name, value] : auth.items()) check_secret_text("/auth/" + name, value.get<std::string>(), problems);
    if (type == "basic" && auth.value("username", "").find(':') != std::string::npos)
        problems.push_back({"/auth/username", "must not hold a colon: it ends the name in basic authentication"});
    if (type == "oauth2" && auth.contains("token_url")) check_url("/auth/token_url", auth["token_url"].get<std::string>(), rules, problems);
}

void check_ca_file(const std::string& name, const ProcessorEnvironment& environment, std::vector<ConfigProblem>& problems) {
    if (name.empty()) return;
    if (environment.certificates_dir.empty()) {
        return problems.push_back({"/ca_file", "names a certificate, but the server has no CERTIFICATES_DIR to look for it; set that and restart the server"});
    }
    const bool plain = name.find('/') == std::string::npos && name.front() != '.' && name.find('\0') == std::string::npos;
    if (!plain || !name.ends_with(".pem")) return problems.push_back({"/ca_file", "must be the name of a file *.pem in CERTIFICATES_DIR, without a folder"});
    struct stat info {};
    if (::stat((environment.certificates_dir + "/" + name).c_str(), &info) != 0 || !S_ISREG(info.st_mode))
        problems.push_back({"/ca_file", "names no file in CERTIFICATES_DIR, which is " + environment.certificates_dir});
}

json shown_secret(const json& value) { return value.is_string() && SecretSource::is_reference(value.get<std::string>()) ? value : json(kMask); }

}  // namespace

json ForwarderOptions::schema() {
    json properties;
    properties["endpoint_url"] = {{"type", "string"},
                                  {"minLength", 8},
                                  {"maxLength", 2048},
                                  {"description", "Where requests go: http:// or https://, without user name and password. Redirects are not followed."}};
    properties["method"] = choice_schema({"POST", "PUT", "PATCH"}, "POST", "The method of the requests.");
    properties["headers"] = {{"type", "object"},
                             {"maxProperties", 50},
                             {"additionalProperties", {{"type", "string"}, {"maxLength", 8192}}},
                             {"writeOnly", true},
                             {"description", "More headers by name; values may hold ${secret:NAME} and are shown masked. Content-Type is application/json, or "
                                             "application/x-ndjson, unless given."}};
    properties["format"] = choice_schema({"single", "ndjson", "json_array"}, "single",
                                         "single: a request for each record. ndjson: a line of each. json_array: an array of them.");
    properties["envelope"] = {{"type", "boolean"},
                              {"default", false},
                              {"description", "false: the value. true: an object with topic, partition, offset, timestamp, key, headers, value; what is not UTF-8 "
                                              "becomes {\"base64\": \"…\"}."}};
    properties["max_batch_records"] = number_schema(1, 100'000, 1000, "Records in a request at most; with single always 1.");
    properties["max_batch_bytes"] = number_schema(1, int64_t{4} << 20, int64_t{1} << 20,
                                                  "Bytes of values (with envelope, of keys and headers too) in a request at most, before compression; a larger record goes alone.");
    properties["linger"] = duration_schema("5ms", "How long a request that is not full waits for more records; at most \"1m\".");
    properties["max_in_flight"] = number_schema(1, 64, 4, "Connections, which are kept, and requests at once; fewer while the server answers 429 or 503.");
    properties["ordered"] = {{"type", "boolean"},
                             {"default", true},
                             {"description", "true: one request at a time for each partition, so its records arrive in order. false: as many as max_in_flight allows."}};
    properties["compression"] = choice_schema({"none", "gzip", "zstd"}, "none", "Of the body, told in Content-Encoding.");
    properties["connect_timeout"] = duration_schema("5s", "For resolving the host, for connecting, and for the TLS handshake; \"10ms\" to \"30s\".");
    properties["request_timeout"] = duration_schema("30s", "For a request until its whole answer is there; \"10ms\" to \"10m\".");
    properties["ca_file"] = {{"type", "string"},
                             {"minLength", 1},
                             {"maxLength", 255},
                             {"description", "Name of a file *.pem in CERTIFICATES_DIR with the certificates that are trusted; the system's unless given."}};
    properties["auth"] = auth_schema();
    return {{"$schema", "http://json-schema.org/draft-07/schema#"},
            {"title", "streaming_forwarder"},
            {"description", "Sends records to an HTTP endpoint, at least once, each request with an Idempotency-Key that a repetition has too."},
            {"type", "object"},
            {"additionalProperties", false},
            {"required", {"endpoint_url"}},
            {"properties", properties}};
}

ForwarderOptions ForwarderOptions::from(const json& config) {
    ForwarderOptions options;
    options.endpoint_url = config.at("endpoint_url").get<std::string>();
    options.method = config.value("method", options.method);
    options.headers = config.value("headers", options.headers);
    const auto format = config.value("format", "single");
    options.format.framing = format == "ndjson" ? Framing::ndjson : format == "json_array" ? Framing::json_array : Framing::single;
    const auto compression = config.value("compression", "none");
    options.format.compression = compression == "gzip" ? Compression::gzip : compression == "zstd" ? Compression::zstd : Compression::none;
    options.format.envelope = config.value("envelope", false);
    options.limits.max_records = format == "single" ? 1 : config.value("max_batch_records", size_t{1000});
    options.limits.max_bytes = config.value("max_batch_bytes", options.limits.max_bytes);
    options.limits.ordered = config.value("ordered", true);
    options.limits.sides = options.format.envelope;
    read_duration(config, "linger", options.limits.linger);
    options.max_in_flight = config.value("max_in_flight", options.max_in_flight);
    read_duration(config, "connect_timeout", options.connect_timeout);
    read_duration(config, "request_timeout", options.request_timeout);
    options.ca_file = config.value("ca_file", "");
    if (!config.contains("auth")) return options;
    const json& auth = config["auth"];
    const auto type = auth.at("type").get<std::string>();
    options.auth.kind = type == "basic" ? ForwarderAuth::Kind::basic : type == "bearer" ? ForwarderAuth::Kind::bearer : ForwarderAuth::Kind::oauth2;
    options.auth.username = auth.value("username", "");
    options.auth.password = auth.value("password", "");
    options.auth.token = auth.value("token", "");
    options.auth.token_url = auth.value("token_url", "");
    options.auth.client_id = auth.value("client_id", "");
    options.auth.client_secret = auth.value("client_secret", "");
    options.auth.scope = auth.value("scope", "");
    return options;
}

std::vector<ConfigProblem> ForwarderOptions::check(const json& config, const ProcessorEnvironment& environment) {
    std::vector<ConfigProblem> problems;
    const auto rules = AddressRules::parse(environment.forward_allow);
    if (!rules) return {{"", "cannot be judged: FORWARD_ALLOW is not valid: " + rules.error()}};
    const auto options = from(config);
    check_url("/endpoint_url", options.endpoint_url, *rules, problems);
    check_headers(options, problems);
    check_duration(config, "linger", milliseconds(0), std::chrono::minutes(1), "as in \"5ms\", and at most 1m", problems);
    check_duration(config, "connect_timeout", milliseconds(10), std::chrono::seconds(30), "from 10ms to 30s", problems);
    check_duration(config, "request_timeout", milliseconds(10), std::chrono::minutes(10), "from 10ms to 10m", problems);
    check_auth(config, *rules, problems);
    check_ca_file(options.ca_file, environment, problems);
    return problems;
}

json ForwarderOptions::masked(const json& config) {
    json shown = config;
    if (shown.contains("headers") && shown["headers"].is_object())
        for (auto& [name, value] : shown["headers"].items()) value = shown_secret(value);
    if (shown.contains("auth") && shown["auth"].is_object()) {
        for (const char* name : {"password", "token", "client_secret"})
            if (shown["auth"].contains(name)) shown["auth"][name] = shown_secret(shown["auth"][name]);
    }
    return shown;
}

}  // namespace fetcher
