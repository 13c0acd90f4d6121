// Which properties of the Kafka client a consumer may have, and what their values may be. An allow-list: some of the others load code into
// the process or run a shell, and others belong to the server. Includes nothing of librdkafka.
// Thread: any; pure
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fetcher {

using ClientProperties = std::map<std::string, std::string>;

// A cluster and how to be let in. The properties are ready for use: no references, whole paths.
struct KafkaCluster {
    std::string servers;  // host:port, …
    ClientProperties properties;
};

struct AllowedProperty {
    enum class Kind {
        choice,       // one of `choices`
        number,       // from least to most
        text,         // up to 255 bytes, none of them a control character
        credential,   // as text, up to 4 KiB; may hold references to secrets
        secret,       // a credential that is never shown
        certificate,  // the name of a *.pem file in the server's folder of certificates
    };
    const char* name;
    Kind kind;
    bool of_connection;  // also for clients that do not consume: producers, questions about a group
    std::vector<const char*> choices = {};
    long least = 0;
    long most = 0;

    bool may_refer() const { return kind == Kind::credential || kind == Kind::secret; }
};

// nullptr: not allowed; why_not_allowed() says why, and what to do instead.
const AllowedProperty* find_allowed_property(std::string_view name);
std::string why_not_allowed(std::string_view name);
// What is wrong with a value, "" if nothing; never quotes it. Of a certificate only whether it is such a name.
std::string wrong_value(const AllowedProperty& property, std::string_view value);
// What is wrong with them together, as the property's name and words; values that are alone wrong are not looked at.
std::vector<std::pair<std::string, std::string>> contradictions(const ClientProperties& properties);

// What every client of this cluster is made with: its servers and how to be let in. For make_kafka_conf (kafka_client.h).
std::vector<std::pair<std::string, std::string>> connection_properties(const KafkaCluster& cluster);
// What else a consumer's own client is made with; these win over the server's defaults.
std::vector<std::pair<std::string, std::string>> consuming_properties(const KafkaCluster& cluster);

}  // namespace fetcher
