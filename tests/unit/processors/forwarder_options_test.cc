#include "processors/forwarder_options.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "processors/streaming_forwarder_type.h"

namespace fetcher {
namespace {

using nlohmann::json;

std::set<std::string> wrong(json config, const ProcessorEnvironment& environment = {}) {
    if (!config.contains("endpoint_url")) config["endpoint_url"] = "http://api.example.com/";
    std::set<std::string> pointers;
    for (const auto& problem : StreamingForwarderType().check(config, {}, environment)) pointers.insert(problem.pointer);
    return pointers;
}

TEST(ForwarderOptions, HaveDefaultsThatSendEachRecordForItself) {
    const auto options = ForwarderOptions::from({{"endpoint_url", "http://h/"}});
    EXPECT_EQ(options.method, "POST");
    EXPECT_EQ(options.limits.max_records, 1u);
    EXPECT_EQ(options.max_in_flight, 4u);
    EXPECT_TRUE(options.limits.ordered);
    EXPECT_EQ(ForwarderOptions::from({{"endpoint_url", "http://h/"}, {"format", "ndjson"}}).limits.max_records, 1000u);
    EXPECT_EQ(ForwarderOptions::from({{"endpoint_url", "http://h/"}, {"max_batch_records", 50}}).limits.max_records, 1u);
}

TEST(ForwarderOptions, AreJudgedFieldByField) {
    EXPECT_TRUE(wrong({}).empty());
    EXPECT_EQ(wrong({{"endpoint_url", "http://169.254.169.254/"}}), (std::set<std::string>{"/endpoint_url"}));
    EXPECT_EQ(wrong({{"headers", {{"Host", "h"}, {"X", "a\nb"}, {"Y", "***"}, {"Z", "good"}}}}), (std::set<std::string>{"/headers/Host", "/headers/X", "/headers/Y"}));
    EXPECT_EQ(wrong({{"linger", "2m"}, {"connect_timeout", "1ms"}, {"request_timeout", "1h"}}),
              (std::set<std::string>{"/linger", "/connect_timeout", "/request_timeout"}));
    EXPECT_EQ(wrong({{"auth", {{"type", "basic"}, {"username", "a:b"}}}}), (std::set<std::string>{"/auth/password", "/auth/username"}));
    EXPECT_EQ(wrong({{"auth", {{"type", "bearer"}, {"token", "a\rb"}}}}), (std::set<std::string>{"/auth/token"}));
    EXPECT_EQ(wrong({{"auth", {{"type", "bearer"}, {"token", "t"}, {"scope", "s"}}}, {"headers", {{"authorization", "x"}}}}),
              (std::set<std::string>{"/auth/scope", "/headers/authorization"}));
    EXPECT_EQ(wrong({{"auth", {{"type", "oauth2"}, {"token_url", "http://[fe80::1]/"}, {"client_id", "i"}}}}),
              (std::set<std::string>{"/auth/client_secret", "/auth/token_url"}));
    EXPECT_EQ(wrong({{"ca_file", "ca.pem"}}), (std::set<std::string>{"/ca_file"})) << "there is no CERTIFICATES_DIR";
    ProcessorEnvironment with_folder;
    with_folder.certificates_dir = "/etc";
    for (const char* name : {"../etc/ca.pem", "ca.key", "no-such.pem", ".pem"}) EXPECT_EQ(wrong({{"ca_file", name}}, with_folder).size(), 1u) << name;
}

TEST(ForwarderOptions, ShowReferencesToSecretsAndNoSecrets) {
    const json config = {{"endpoint_url", "http://h/"},
                         {"headers", {{"A", "literal"}, {"B", "${secret:B}"}, {"C", "x ${secret:C}"}}},
                         {"auth", {{"type", "oauth2"}, {"client_id", "id"}, {"client_secret", "hush"}, {"token_url", "http://t/"}}}};
    const auto shown = StreamingForwarderType().masked(config);
    EXPECT_EQ(shown["headers"], (json{{"A", "***"}, {"B", "${secret:B}"}, {"C", "***"}}));
    EXPECT_EQ(shown["auth"]["client_secret"], "***");
    EXPECT_EQ(shown["auth"]["client_id"], "id");
}

}  // namespace
}  // namespace fetcher
