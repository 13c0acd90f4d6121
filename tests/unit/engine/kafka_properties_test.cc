#include "engine/kafka_properties.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace fetcher {
namespace {

bool has(const std::vector<std::pair<std::string, std::string>>& named, const std::string& name, const std::string& value) {
    return std::ranges::find(named, std::pair(name, value)) != named.end();
}

std::string value_of(const std::vector<std::pair<std::string, std::string>>& named, const std::string& name) {
    std::string value;
    for (const auto& [n, v] : named)
        if (n == name) value = v;  // the last one counts, as in make_kafka_conf
    return value;
}

// Of "name" or "name=value".
std::string objection(const std::string& name, const std::string& value) {
    const auto* property = find_allowed_property(name);
    return property ? wrong_value(*property, value) : why_not_allowed(name);
}

TEST(KafkaPropertiesTest, WhatLoadsCodeOrRunsAShellIsRefusedWithARemedy) {
    for (const auto* name :
         {"plugin.library.paths", "ssl.engine.location", "ssl.engine.id", "ssl.providers", "sasl.kerberos.kinit.cmd", "sasl.kerberos.keytab",
          "sasl.oauthbearer.config", "sasl.oauthbearer.token.endpoint.url", "enable.sasl.oauthbearer.unsecure.jwt", "offset.store.path",
          "offset.store.method", "debug", "test.mock.num.brokers", "log_level", "ssl.ca.pem", "ssl.keystore.location", "sasl.jaas.config"}) {
        EXPECT_EQ(find_allowed_property(name), nullptr) << name;
        EXPECT_FALSE(why_not_allowed(name).empty()) << name;
        EXPECT_EQ(why_not_allowed(name).find("is not among"), std::string::npos) << name << " has words of its own";
    }
}

TEST(KafkaPropertiesTest, WhatTheServerOwnsIsRefusedAndSaysWhere) {
    const std::pair<const char*, const char*> owned[] = {{"group.id", "consumer_group"},
                                                         {"bootstrap.servers", "broker_ip"},
                                                         {"metadata.broker.list", "broker_ip"},
                                                         {"group.instance.id", "INSTANCE_ID"},
                                                         {"enable.auto.commit", "leave it out"},
                                                         {"enable.auto.offset.store", "leave it out"},
                                                         {"auto.commit.interval.ms", "leave it out"},
                                                         {"isolation.level", "read_committed"},
                                                         {"max.poll.interval.ms", "leave it out"},
                                                         {"queued.max.messages.kbytes", "MEMORY_BUDGET"},
                                                         {"max.partition.fetch.bytes", "MEMORY_BUDGET"},
                                                         {"auto.offset.reset", "auto_offset_reset"},
                                                         {"partition.assignment.strategy", "partition_assignment_strategy"},
                                                         {"group.protocol", "leave it out"}};
    for (const auto& [name, remedy] : owned) {
        EXPECT_EQ(find_allowed_property(name), nullptr) << name;
        EXPECT_NE(why_not_allowed(name).find(remedy), std::string::npos) << name << ": " << why_not_allowed(name);
    }
}

TEST(KafkaPropertiesTest, WhatNobodyKnowsIsRefusedWithWhatIsAllowed) {
    for (const auto* name : {"", "SASL.PASSWORD", "sasl.password ", "ssl.crl.location", "nonsense"})
        EXPECT_NE(why_not_allowed(name).find("sasl.password"), std::string::npos) << name;
}

TEST(KafkaPropertiesTest, ValuesAreJudged) {
    for (const auto& [name, value] : {std::pair{"security.protocol", "SASL_SSL"},
                                      {"security.protocol", "ssl"},
                                      {"sasl.mechanism", "SCRAM-SHA-512"},
                                      {"ssl.ca.location", "ca.pem"},
                                      {"enable.ssl.certificate.verification", "true"},
                                      {"session.timeout.ms", "30000"},
                                      {"sasl.password", "ä ~ \" ' $"}})
        EXPECT_EQ(objection(name, value), "") << name;
    for (const auto& [name, value] : {std::pair{"security.protocol", "Sasl_Ssl"},
                                      {"security.protocol", "kerberos"},
                                      {"sasl.mechanism", "GSSAPI"},
                                      {"sasl.mechanism", "OAUTHBEARER"},
                                      {"sasl.mechanism", "SCRAM-SHA-1"},
                                      {"enable.ssl.certificate.verification", "false"},
                                      {"ssl.endpoint.identification.algorithm", "none"},
                                      {"ssl.ca.location", "/etc/ssl/ca.pem"},
                                      {"ssl.ca.location", "../ca.pem"},
                                      {"ssl.ca.location", ".pem"},
                                      {"ssl.ca.location", "probe"},
                                      {"ssl.key.location", "key.txt"},
                                      {"session.timeout.ms", "999"},
                                      {"session.timeout.ms", "30s"},
                                      {"session.timeout.ms", "99999999999999999999"},
                                      {"fetch.min.bytes", "-1"},
                                      {"sasl.username", ""},
                                      {"sasl.password", "a\nb"}})
        EXPECT_NE(objection(name, value), "") << name << "=" << value;
    EXPECT_NE(objection("enable.ssl.certificate.verification", "false").find("ssl.ca.location"), std::string::npos);
    EXPECT_NE(objection("sasl.mechanism", "GSSAPI").find("SCRAM"), std::string::npos);
}

TEST(KafkaPropertiesTest, AnObjectionNeverQuotesAValue) {
    for (const auto* name : {"sasl.password", "ssl.key.password", "sasl.username", "ssl.ca.location", "session.timeout.ms"})
        EXPECT_EQ(objection(name, std::string("hunter2\n")).find("hunter2"), std::string::npos) << name;
}

TEST(KafkaPropertiesTest, WhatContradictsItselfIsNamed) {
    const auto names = [](const ClientProperties& properties) {
        std::vector<std::string> found;
        for (const auto& [name, why] : contradictions(properties)) found.push_back(name);
        return found;
    };
    using Names = std::vector<std::string>;
    EXPECT_EQ(names({}), Names{});
    EXPECT_EQ(names({{"security.protocol", "ssl"}}), Names{});
    EXPECT_EQ(names({{"security.protocol", "SASL_SSL"}}), (Names{"sasl.mechanism", "sasl.username", "sasl.password"}));
    EXPECT_EQ(names({{"sasl.username", "u"}}), Names{"sasl.username"});
    EXPECT_EQ(names({{"ssl.ca.location", "ca.pem"}}), Names{"ssl.ca.location"});
    EXPECT_EQ(names({{"security.protocol", "ssl"}, {"ssl.key.location", "k.pem"}}), Names{"ssl.certificate.location"});
    EXPECT_EQ(names({{"heartbeat.interval.ms", "4000"}}), Names{"heartbeat.interval.ms"});
    EXPECT_EQ(names({{"heartbeat.interval.ms", "4000"}, {"session.timeout.ms", "12000"}}), Names{});
}

TEST(KafkaPropertiesTest, EveryClientGetsTheConnectionAndOnlyAConsumerTheRest) {
    const KafkaCluster cluster{"broker:9092",
                               {{"security.protocol", "SASL_SSL"},
                                {"sasl.password", "secret"},
                                {"session.timeout.ms", "30000"},
                                {"fetch.min.bytes", "100"},
                                {"plugin.library.paths", "evil"},
                                {"group.id", "other"}}};
    const auto connection = connection_properties(cluster);
    EXPECT_TRUE(has(connection, "bootstrap.servers", "broker:9092"));
    EXPECT_TRUE(has(connection, "security.protocol", "sasl_ssl"));
    EXPECT_TRUE(has(connection, "sasl.password", "secret"));
    EXPECT_EQ(connection.size(), 3U);
    const auto consuming = consuming_properties(cluster);
    EXPECT_TRUE(has(consuming, "session.timeout.ms", "30000"));
    EXPECT_TRUE(has(consuming, "fetch.min.bytes", "100"));
    EXPECT_EQ(value_of(consuming, "heartbeat.interval.ms"), "6000") << "a fifth, where none is given";
    EXPECT_EQ(consuming.size(), 3U) << "what is not allowed goes nowhere, whoever let it in";
}

}  // namespace
}  // namespace fetcher
