// A consumer's kafka_properties on their way from a body to the client: what is refused, what is shown, what comes back, what is used.
#include "admin/kafka_properties.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "admin/consumer_config.h"

namespace fetcher {
namespace {

using nlohmann::json;

class KafkaPropertiesInConfigTest : public ::testing::Test {
  protected:
    KafkaPropertiesInConfigTest() {
        auto name = std::filesystem::temp_directory_path() / "kafka-properties-XXXXXX";
        folder_ = mkdtemp(name.string().data());
        write("ca.pem", "a certificate");
        write("PASSWORD", "hunter2\n");
        environment_.secrets_dir = environment_.certificates_dir = folder_.string();
    }
    ~KafkaPropertiesInConfigTest() override { std::filesystem::remove_all(folder_); }

    void write(const std::string& name, const std::string& text) const { std::ofstream(folder_ / name) << text; }

    // A consumer may have no processor here: only its properties are looked at.
    json body(json properties) const {
        return {{"broker_ip", "b"},
                {"broker_port", 9092},
                {"topic", "t"},
                {"consumer_group", "g"},
                {"kafka_properties", std::move(properties)},
                {"processor_configs", {{{"processor_type", "file_sink"}, {"config", {{"file_path", (folder_ / "f.log").string()}}}}}}};
    }
    Answer<StoredConsumer> create(json properties) const { return config_.create(body(std::move(properties)), "t1"); }
    std::vector<std::string> complaints(json properties) const {
        std::vector<std::string> pointers;
        const auto made = create(std::move(properties));
        if (made) return pointers;
        EXPECT_EQ(made.error().status, 422);
        for (const auto& error : made.error().errors) pointers.push_back(error.pointer);
        return pointers;
    }

    std::filesystem::path folder_;
    ProcessorEnvironment environment_{"instance", {"/"}};
    const ProcessorRegistry registry_;
    const ConsumerConfig config_{registry_, environment_};
};

using Pointers = std::vector<std::string>;

const json kScram = {{"security.protocol", "SASL_SSL"}, {"sasl.mechanism", "SCRAM-SHA-512"}, {"sasl.username", "u"}, {"sasl.password", "hunter2"}};

json with(json properties, const std::string& name, json value) {
    properties[name] = std::move(value);
    return properties;
}

TEST_F(KafkaPropertiesInConfigTest, EachWrongOneIsNamed) {
    EXPECT_EQ(complaints(json::object()), Pointers{});
    EXPECT_EQ(complaints(kScram), Pointers{});
    const std::pair<json, const char*> wrong[] = {{"x", "/kafka_properties"},
                                                  {nullptr, "/kafka_properties"},
                                                  {json::array(), "/kafka_properties"},
                                                  {{{"debug", "all"}}, "/kafka_properties/debug"},
                                                  {{{"a/b", "c"}}, "/kafka_properties/a~1b"},
                                                  {{{"fetch.min.bytes", {1}}}, "/kafka_properties/fetch.min.bytes"},
                                                  {{{"fetch.min.bytes", 1.5}}, "/kafka_properties/fetch.min.bytes"},
                                                  {{{"fetch.min.bytes", nullptr}}, "/kafka_properties/fetch.min.bytes"},
                                                  {{{"sasl.username", "u"}}, "/kafka_properties/sasl.username"},
                                                  {with(kScram, "sasl.password", "***"), "/kafka_properties/sasl.password"},
                                                  {with(kScram, "sasl.mechanism", "${secret:PASSWORD}"), "/kafka_properties/sasl.mechanism"},
                                                  {with(kScram, "ssl.ca.location", "none.pem"), "/kafka_properties/ssl.ca.location"},
                                                  {with(kScram, "ssl.ca.location", "/etc/ca.pem"), "/kafka_properties/ssl.ca.location"},
                                                  {with(kScram, "enable.ssl.certificate.verification", false),
                                                   "/kafka_properties/enable.ssl.certificate.verification"}};
    for (const auto& [properties, pointer] : wrong) EXPECT_EQ(complaints(properties), Pointers{pointer}) << properties;
}

TEST_F(KafkaPropertiesInConfigTest, NumbersAndBooleansAreTheTextsThatTheyAre) {
    const auto made = create({{"fetch.min.bytes", 17}, {"enable.ssl.certificate.verification", true}});
    ASSERT_TRUE(made);
    EXPECT_EQ(made->spec.kafka_properties, (ClientProperties{{"fetch.min.bytes", "17"}, {"enable.ssl.certificate.verification", "true"}}));
}

TEST_F(KafkaPropertiesInConfigTest, SecretsAreMaskedAndSurviveTheWayBack) {
    const auto before = *create(with(with(kScram, "ssl.key.password", "hunter2"), "ssl.ca.location", "ca.pem"));
    const auto shown = masked(before.spec.kafka_properties);
    EXPECT_EQ(json(shown).dump().find("hunter2"), std::string::npos);
    EXPECT_EQ(shown.at("sasl.password"), "***");
    EXPECT_EQ(shown.at("ssl.ca.location"), "ca.pem");
    const auto back = config_.merge(before, {{"kafka_properties", shown}}, "t2");
    ASSERT_TRUE(back);
    EXPECT_EQ(back->spec, before.spec);
    EXPECT_EQ(back->updated_at, "t1") << "nothing has changed";
    EXPECT_EQ(config_.merge(before, {{"topic", "other"}}, "t2")->spec.kafka_properties, before.spec.kafka_properties);
    EXPECT_TRUE(config_.merge(before, {{"kafka_properties", json::object()}}, "t2")->spec.kafka_properties.empty());
}

TEST_F(KafkaPropertiesInConfigTest, AMaskWithoutASecretBehindItIsRefused) {
    const auto before = *create(json::object());
    const auto merged = config_.merge(before, {{"kafka_properties", with(kScram, "sasl.password", "***")}}, "t2");
    ASSERT_FALSE(merged);
    EXPECT_EQ(merged.error().errors.at(0).pointer, "/kafka_properties/sasl.password");
}

TEST_F(KafkaPropertiesInConfigTest, ASecretDoesNotFollowToAnotherBroker) {
    const auto before = *create(kScram);
    const json shown = masked(before.spec.kafka_properties);
    for (const json& change : {json{{"broker_ip", "127.0.0.9"}}, json{{"broker_port", 1}}, json{{"broker_port", 1}, {"kafka_properties", shown}}}) {
        const auto refused = config_.merge(before, change, "t2");
        ASSERT_FALSE(refused) << change;
        EXPECT_EQ(refused.error().errors.at(0).pointer, "/kafka_properties/sasl.password");
    }
    EXPECT_TRUE(config_.merge(before, {{"broker_port", 1}, {"kafka_properties", kScram}}, "t2"));
    const auto referring = *create(with(kScram, "sasl.password", "${secret:PASSWORD}"));
    EXPECT_TRUE(config_.merge(referring, {{"broker_port", 1}}, "t2"));
}

TEST_F(KafkaPropertiesInConfigTest, AReferenceIsShownAndOneAmongOtherTextIsNot) {
    EXPECT_EQ(masked({{"sasl.password", "${secret:PASSWORD}"}}).at("sasl.password"), "${secret:PASSWORD}");
    EXPECT_EQ(masked({{"sasl.password", "hunter${secret:PASSWORD}"}}).at("sasl.password"), "***");
    EXPECT_EQ(masked({{"of.another.build", "hunter2"}}).at("of.another.build"), "***") << "it may be a secret";
}

TEST_F(KafkaPropertiesInConfigTest, ARollbackBringsThemBack) {
    const auto first = *create(kScram);
    const auto second = *config_.merge(first, {{"kafka_properties", json::object()}}, "t2");
    const auto third = config_.restore(second, first.spec, "t3");
    ASSERT_TRUE(third);
    EXPECT_EQ(third->spec.kafka_properties.at("sasl.password"), "hunter2");
    environment_.certificates_dir = "";
    auto old = first.spec;
    old.kafka_properties["ssl.ca.location"] = "ca.pem";
    EXPECT_EQ(config_.restore(second, old, "t3").error().status, 422) << "this server has no certificates any more";
}

TEST_F(KafkaPropertiesInConfigTest, ReferencesAndCertificatesAreLookedUpAtUse) {
    auto spec = create(with(with(kScram, "sasl.password", "${secret:PASSWORD}"), "ssl.ca.location", "ca.pem"))->spec;
    const auto cluster = kafka_cluster(spec, environment_);
    ASSERT_TRUE(cluster) << cluster.error().reason;
    EXPECT_EQ(cluster->servers, "b:9092");
    EXPECT_EQ(cluster->properties.at("sasl.password"), "hunter2");
    EXPECT_EQ(cluster->properties.at("ssl.ca.location"), (folder_ / "ca.pem").string());

    write("PASSWORD", "hunter3");
    EXPECT_EQ(kafka_cluster(spec, environment_)->properties.at("sasl.password"), "hunter3");

    const auto why_not = [&] {
        const auto refused = kafka_cluster(spec, environment_);
        return refused ? "" : refused.error().reason;
    };
    write("PASSWORD", "hunter2\nhunter2");
    EXPECT_NE(why_not().find("sasl.password"), std::string::npos) << why_not();
    EXPECT_EQ(why_not().find("hunter2"), std::string::npos) << why_not();
    std::filesystem::remove(folder_ / "PASSWORD");
    EXPECT_NE(why_not().find("PASSWORD"), std::string::npos) << why_not();
    std::filesystem::remove(folder_ / "ca.pem");
    EXPECT_NE(why_not().find("ssl.ca.location"), std::string::npos) << why_not();
    spec.kafka_properties = {{"plugin.library.paths", "/tmp/evil.so"}};
    EXPECT_NE(why_not().find("plugin.library.paths"), std::string::npos) << "whoever put it into the store";
}

}  // namespace
}  // namespace fetcher
