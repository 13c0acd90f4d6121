#include "processors/streaming_forwarder_type.h"

#include <filesystem>
#include <regex>
#include <system_error>

#include "processors/crc32c.h"
#include "processors/streaming_forwarder.h"

namespace fetcher {
namespace {

// One forwarder of one consumer to one endpoint. Its files are found again only if they are of the same.
std::string memory_name(const ForwarderOptions& options, const ProcessorOwner& owner) {
    return owner.consumer_id + "-" + hex32(crc32c(owner.group + "\n" + owner.topic + "\n" + options.endpoint_url + "\n" + options.method));
}

std::string memory_folder(const ProcessorEnvironment& environment) { return environment.data_dir + "/kafka-fetcher.forwarder"; }

}  // namespace

nlohmann::json StreamingForwarderType::schema() const { return ForwarderOptions::schema(); }

std::vector<ConfigProblem> StreamingForwarderType::check(const nlohmann::json& config, const ProcessorOwner&,
                                                         const ProcessorEnvironment& environment) const {
    return ForwarderOptions::check(config, environment);
}

nlohmann::json StreamingForwarderType::masked(const nlohmann::json& config) const { return ForwarderOptions::masked(config); }

// Within one consumer two forwarders to one place would send everything twice under the same keys.
std::string StreamingForwarderType::claim(const nlohmann::json& config, const ProcessorOwner& owner, const ProcessorEnvironment&) const {
    const auto options = ForwarderOptions::from(config);
    const auto url = parse_http_url(options.endpoint_url);
    return "endpoint " + options.method + " " + (url ? url->shown() : "") + " for consumer " + owner.consumer_id + " (" +
           memory_name(options, owner).substr(owner.consumer_id.size() + 1) + ")";
}

Result<std::unique_ptr<Processor>> StreamingForwarderType::make(const nlohmann::json& config, const ProcessorOwner& owner,
                                                                const ProcessorEnvironment& environment) const {
    const auto problems = check(config, owner, environment);
    if (!problems.empty()) return fatal((problems.front().pointer + " ").substr(problems.front().pointer.empty() ? 0 : 1) + problems.front().detail);
    StreamingForwarder::Setup setup;
    setup.options = ForwarderOptions::from(config);
    const auto& o = setup.options;
    const auto address = [&](const std::string& url) {
        const std::string ca_file = o.ca_file.empty() ? "" : environment.certificates_dir + "/" + o.ca_file;
        return HttpServerAddress{*parse_http_url(url), o.connect_timeout, o.request_timeout, ca_file, *AddressRules::parse(environment.forward_allow)};
    };
    setup.server = address(o.endpoint_url);
    if (o.auth.kind == ForwarderAuth::Kind::oauth2) setup.token_server = address(o.auth.token_url);
    setup.secrets_dir = environment.secrets_dir;
    if (!environment.data_dir.empty()) setup.memory_folder = memory_folder(environment);
    setup.memory_name = memory_name(o, owner);
    setup.retry = owner.retry;
    setup.pin_threads = environment.pin_threads;
    return std::make_unique<StreamingForwarder>(std::move(setup));
}

// Their names are <consumer>-<8 hex digits>-<partition>; whatever else lies there is not ours to remove.
void StreamingForwarderType::forget_all_but(const std::set<std::string>& consumers, const ProcessorEnvironment& environment) const {
    if (environment.data_dir.empty()) return;
    static const std::regex kName("(.+)-[0-9a-f]{8}-[0-9]+");
    std::error_code ignored;  // what cannot be removed is tried again at the next start
    for (std::filesystem::directory_iterator file(memory_folder(environment), ignored), end; file != end; file.increment(ignored)) {
        const std::string name = file->path().filename();
        std::smatch parts;
        if (std::regex_match(name, parts, kName) && !consumers.contains(parts[1])) std::filesystem::remove(file->path(), ignored);
    }
}

}  // namespace fetcher
