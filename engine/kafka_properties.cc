#include "engine/kafka_properties.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace fetcher {
namespace {

using Kind = AllowedProperty::Kind;
using Named = std::vector<std::pair<std::string, std::string>>;

constexpr size_t kMaxTextBytes = 255;
constexpr size_t kMaxCredentialBytes = 4096;
constexpr long kDefaultSessionTimeoutMs = 10'000;

const std::vector<AllowedProperty>& allowed() {
    // clang-format off
    static const std::vector<AllowedProperty> kAllowed = {
        {"security.protocol", Kind::choice, true,
         {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}},
        {"sasl.mechanism", Kind::choice, true, {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}},
        {"sasl.username", Kind::credential, true},
        {"sasl.password", Kind::secret, true},
        {"ssl.ca.location", Kind::certificate, true},
        {"ssl.certificate.location", Kind::certificate, true},
        {"ssl.key.location", Kind::certificate, true},
        {"ssl.key.password", Kind::secret, true},
        {"ssl.endpoint.identification.algorithm", Kind::choice, true, {"https"}},
        {"enable.ssl.certificate.verification", Kind::choice, true, {"true"}},
        {"broker.address.family", Kind::choice, true, {"any", "v4", "v6"}},
        {"socket.connection.setup.timeout.ms", Kind::number, true, {}, 1'000, 60'000},
        {"client.rack", Kind::text, false},
        {"fetch.min.bytes", Kind::number, false, {}, 1, 1 << 20},
        {"fetch.max.bytes", Kind::number, false, {}, 1 << 20, 64 << 20},
        {"fetch.wait.max.ms", Kind::number, false, {}, 0, 10'000},
        {"fetch.error.backoff.ms", Kind::number, false, {}, 10, 10'000},
        {"session.timeout.ms", Kind::number, false, {}, 1'000, 300'000},
        {"heartbeat.interval.ms", Kind::number, false, {}, 100, 100'000},
    };
    // clang-format on
    return kAllowed;
}

struct Refusal {
    std::string_view name;  // with a * at its end: whatever begins so
    const char* why;
};

constexpr const char* kLoadsCode = "is refused: it would load code into the server";
constexpr const char* kKerberos = "is refused: Kerberos is not supported; use sasl.mechanism SCRAM-SHA-512, or PLAIN with security.protocol SASL_SSL";
constexpr const char* kOauth = "is refused: OAUTHBEARER is not supported; use sasl.mechanism SCRAM-SHA-512, or PLAIN with security.protocol SASL_SSL";
constexpr const char* kPem = "is refused: lay the certificate or key into a file *.pem in CERTIFICATES_DIR and name that in ssl.ca.location, "
                             "ssl.certificate.location or ssl.key.location";
constexpr const char* kCommits = "belongs to the server, which commits what the sinks hold and nothing else; leave it out";
constexpr const char* kBudget = "belongs to the server: it follows from MEMORY_BUDGET; leave it out";

constexpr std::array kRefused = {
    Refusal{"plugin.library.paths", kLoadsCode},
    Refusal{"ssl.engine.*", kLoadsCode},
    Refusal{"ssl.providers", kLoadsCode},
    Refusal{"sasl.kerberos.*", kKerberos},
    Refusal{"sasl.oauthbearer.*", kOauth},
    Refusal{"enable.sasl.oauthbearer.*", kOauth},
    Refusal{"sasl.mechanisms", "is refused: write sasl.mechanism"},
    Refusal{"sasl.jaas.config", "is for Java clients: use sasl.mechanism, sasl.username and sasl.password"},
    Refusal{"ssl.truststore.*", kPem},
    Refusal{"ssl.keystore.*", kPem},
    Refusal{"ssl.ca.pem", kPem},
    Refusal{"ssl.certificate.pem", kPem},
    Refusal{"ssl.key.pem", kPem},
    Refusal{"offset.store.*", kCommits},
    Refusal{"enable.auto.*", kCommits},
    Refusal{"auto.commit.*", kCommits},
    Refusal{"debug", "is refused: it would write what is sent into the log; LOG_LEVEL=DEBUG tells what the client does"},
    Refusal{"log*", "belongs to the server; use LOG_LEVEL"},
    Refusal{"test.mock.*", "is refused: it is for tests of the client itself"},
    Refusal{"bootstrap.servers", "is given by broker_ip and broker_port"},
    Refusal{"metadata.broker.list", "is given by broker_ip and broker_port"},
    Refusal{"group.id", "is given by consumer_group"},
    Refusal{"group.instance.id", "belongs to the server: it follows from INSTANCE_ID; leave it out"},
    Refusal{"group.*", "belongs to the server; leave it out"},
    Refusal{"client.id", "belongs to the server; leave it out"},
    Refusal{"auto.offset.reset", "is a field of the consumer itself: auto_offset_reset"},
    Refusal{"partition.assignment.strategy", "is a field of the consumer itself: partition_assignment_strategy"},
    Refusal{"isolation.level", "belongs to the server and is read_committed; leave it out"},
    Refusal{"max.poll.*", "belongs to the server, whose members stay in their group however long a sink takes; leave it out"},
    Refusal{"queued.*", kBudget},
    Refusal{"max.partition.fetch.bytes", kBudget},
    Refusal{"fetch.message.max.bytes", kBudget},
    Refusal{"receive.message.max.bytes", kBudget},
    Refusal{"message.max.bytes", kBudget},
};

bool covers(std::string_view pattern, std::string_view name) {
    return pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1)) : name == pattern;
}

bool has_control_character(std::string_view text) {
    return std::ranges::any_of(text, [](unsigned char c) { return c < ' ' || c == 127; });
}

std::string joined(const std::vector<const char*>& words) {
    std::string text;
    for (const auto* word : words) text += (text.empty() ? "" : ", ") + std::string(word);
    return text;
}

std::string wrong_number(const AllowedProperty& property, std::string_view value) {
    long number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error == std::errc() && end == value.data() + value.size() && number >= property.least && number <= property.most) return {};
    return "must be a number from " + std::to_string(property.least) + " to " + std::to_string(property.most);
}

long number_in(const ClientProperties& properties, const char* name, long otherwise) {
    const auto found = properties.find(name);
    if (found != properties.end()) std::from_chars(found->second.data(), found->second.data() + found->second.size(), otherwise);
    return otherwise;
}

// As librdkafka writes it.
std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return text;
}

Named of(const KafkaCluster& cluster, bool of_connection) {
    Named named;
    for (const auto& [name, value] : cluster.properties) {
        const auto* property = find_allowed_property(name);
        if (!property || property->of_connection != of_connection) continue;
        named.emplace_back(name, name == "security.protocol" ? lower(value) : value);
    }
    return named;
}

}  // namespace

const AllowedProperty* find_allowed_property(std::string_view name) {
    const auto found = std::ranges::find_if(allowed(), [&](const AllowedProperty& property) { return property.name == name; });
    return found == allowed().end() ? nullptr : &*found;
}

std::string why_not_allowed(std::string_view name) {
    for (const auto& refused : kRefused)
        if (covers(refused.name, name)) return refused.why;
    std::vector<const char*> names;
    for (const auto& property : allowed()) names.push_back(property.name);
    return "is not among the properties that a consumer may set: " + joined(names);
}

std::string wrong_value(const AllowedProperty& property, std::string_view value) {
    if (value.empty()) return "must not be empty; leave it out";
    if (value.size() > kMaxCredentialBytes || has_control_character(value)) return "must have at most 4096 bytes and no control characters";
    const std::string_view name = property.name;
    switch (property.kind) {
        case Kind::choice:
            if (std::ranges::any_of(property.choices, [&](std::string_view choice) { return choice == value; })) return {};
            if (name == "enable.ssl.certificate.verification" || name == "ssl.endpoint.identification.algorithm")
                return "must stay " + joined(property.choices) +
                       ": else anybody in between could pose as the broker; name the authority of its certificate in ssl.ca.location";
            if (name == "sasl.mechanism" && value == "GSSAPI") return kKerberos;
            if (name == "sasl.mechanism" && value == "OAUTHBEARER") return kOauth;
            return "must be one of " + joined(property.choices);
        case Kind::number: return wrong_number(property, value);
        case Kind::certificate: {
            const bool plain = value.find('/') == std::string_view::npos && value.front() != '.';
            return plain && value.ends_with(".pem") ? "" : "must be the name of a file *.pem in CERTIFICATES_DIR, without a folder";
        }
        case Kind::text: return value.size() <= kMaxTextBytes ? "" : "must have at most 255 bytes";
        case Kind::credential:
        case Kind::secret: break;
    }
    return {};
}

Named contradictions(const ClientProperties& properties) {
    Named wrong;
    const auto has = [&](const char* name) { return properties.contains(name); };
    const auto given = properties.find("security.protocol");
    const auto protocol = given == properties.end() ? "plaintext" : lower(given->second);
    const bool sasl = protocol.starts_with("sasl");
    const bool tls = protocol.ends_with("ssl");
    for (const char* name : {"sasl.mechanism", "sasl.username", "sasl.password"}) {
        if (sasl && !has(name)) wrong.emplace_back(name, "is required with security.protocol SASL_SSL or SASL_PLAINTEXT");
        if (!sasl && has(name)) wrong.emplace_back(name, "has no effect without security.protocol SASL_SSL; set that, or leave it out");
    }
    for (const auto& property : allowed()) {
        const std::string_view name = property.name;
        if (!tls && name.starts_with("ssl.") && has(property.name))
            wrong.emplace_back(name, "has no effect without security.protocol SSL or SASL_SSL; set that, or leave it out");
    }
    if (has("ssl.certificate.location") != has("ssl.key.location"))
        wrong.emplace_back(has("ssl.key.location") ? "ssl.certificate.location" : "ssl.key.location",
                           "is required: a client's certificate and its key belong together");
    const long session = number_in(properties, "session.timeout.ms", kDefaultSessionTimeoutMs);
    if (has("heartbeat.interval.ms") && number_in(properties, "heartbeat.interval.ms", 0) > session / 3)
        wrong.emplace_back("heartbeat.interval.ms", "must be at most a third of session.timeout.ms, which is " + std::to_string(session));
    return wrong;
}

Named connection_properties(const KafkaCluster& cluster) {
    auto named = of(cluster, true);
    named.emplace_back("bootstrap.servers", cluster.servers);
    return named;
}

Named consuming_properties(const KafkaCluster& cluster) {
    auto named = of(cluster, false);
    const bool paced = cluster.properties.contains("heartbeat.interval.ms");
    if (cluster.properties.contains("session.timeout.ms") && !paced)
        named.emplace_back("heartbeat.interval.ms", std::to_string(number_in(cluster.properties, "session.timeout.ms", 0) / 5));
    return named;
}

}  // namespace fetcher
