#include "admin/kafka_properties.h"

#include <sys/stat.h>

#include "admin/schema_validator.h"
#include "processors/secrets.h"

namespace fetcher {

namespace {

constexpr const char* kMask = "***";
constexpr const char* kField = "/kafka_properties";

bool is_secret(const std::string& name) {
    const auto* property = find_allowed_property(name);
    return !property || property->kind == AllowedProperty::Kind::secret;  // whatever is no property that we know may be one
}

std::string wrong_certificate(const std::string& name, const std::string& folder) {
    if (folder.empty()) return "names a file, but the server has no CERTIFICATES_DIR to look for it; set that and restart the server";
    struct stat info {};
    if (::stat((folder + "/" + name).c_str(), &info) == 0 && S_ISREG(info.st_mode)) return {};
    return "names no file in CERTIFICATES_DIR, which is " + folder;
}

std::string wrong_property(const std::string& name, const std::string& value, const ProcessorEnvironment& environment) {
    const auto* property = find_allowed_property(name);
    if (!property) return why_not_allowed(name);
    if (property->kind == AllowedProperty::Kind::secret && value == kMask)
        return "is ***, which is how answers show a secret; send the secret itself (again when the broker changes), or a reference to it: ${secret:NAME}";
    if (SecretSource::has_reference(value))
        return property->may_refer() ? "" : "must be written out; only sasl.username, sasl.password and ssl.key.password may be ${secret:NAME}";
    if (auto wrong = wrong_value(*property, value); !wrong.empty()) return wrong;
    return property->kind == AllowedProperty::Kind::certificate ? wrong_certificate(value, environment.certificates_dir) : "";
}

}  // namespace

ClientProperties kafka_properties_in(const nlohmann::json& field) {
    ClientProperties properties;
    for (const auto& [name, value] : field.items()) {
        if (value.is_string()) properties[name] = value.get<std::string>();
        else if (value.is_number_integer() || value.is_boolean()) properties[name] = value.dump();
    }
    return properties;
}

std::vector<FieldError> check_kafka_properties(const ClientProperties& properties, const ProcessorEnvironment& environment) {
    std::vector<FieldError> errors;
    for (const auto& [name, value] : properties)
        if (auto wrong = wrong_property(name, value, environment); !wrong.empty()) errors.push_back({kField + pointer_token(name), std::move(wrong)});
    if (!errors.empty()) return errors;
    for (auto& [name, wrong] : contradictions(properties)) errors.push_back({kField + pointer_token(name), std::move(wrong)});
    return errors;
}

ClientProperties masked(const ClientProperties& properties) {
    auto shown = properties;
    for (auto& [name, value] : shown)
        if (is_secret(name) && !SecretSource::is_reference(value)) value = kMask;
    return shown;
}

void restore_masked(const ClientProperties& before, ClientProperties& after) {
    for (auto& [name, value] : after) {
        const auto known = before.find(name);
        if (value == kMask && known != before.end() && is_secret(name)) value = known->second;
    }
}

Result<KafkaCluster> kafka_cluster(const ConsumerSpec& spec, const ProcessorEnvironment& environment) {
    const SecretSource secrets(environment.secrets_dir);
    KafkaCluster cluster{spec.bootstrap_servers(), {}};
    // They were good when they were stored; since then files, settings, the build, or somebody's hand may have changed.
    if (const auto wrong = check_kafka_properties(spec.kafka_properties, environment); !wrong.empty())
        return fatal("its " + wrong.front().pointer.substr(1) + " " + wrong.front().detail);
    for (const auto& [name, value] : spec.kafka_properties) {
        const auto& property = *find_allowed_property(name);
        if (property.kind == AllowedProperty::Kind::certificate) {
            cluster.properties[name] = environment.certificates_dir + "/" + value;
            continue;
        }
        auto resolved = property.may_refer() ? secrets.resolve(value) : value;
        if (!resolved) return fatal(name + ": " + resolved.error().reason);
        if (const auto wrong = wrong_value(property, *resolved); !wrong.empty()) return fatal(name + ": what the reference stands for " + wrong);
        cluster.properties[name] = std::move(*resolved);
    }
    return cluster;
}

}  // namespace fetcher
