#include "engine/kafka_client.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace fetcher {
namespace {

using namespace std::chrono_literals;

std::string first_word_about(const std::string& server) {
    auto conf = make_kafka_conf({{"bootstrap.servers", server}});
    EXPECT_TRUE(conf);
    std::string told;
    rd_kafka_conf_set_opaque(conf->get(), &told);
    rd_kafka_conf_set_error_cb(conf->get(), [](rd_kafka_t*, int, const char* text, void* opaque) {
        if (auto& first = *static_cast<std::string*>(opaque); first.empty()) first = text;
    });
    const auto client = make_kafka_client(RD_KAFKA_PRODUCER, std::move(*conf));
    EXPECT_TRUE(client);
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (told.empty() && std::chrono::steady_clock::now() < until) rd_kafka_poll(client->get(), 50);
    return told;
}

// Where clouds hand out credentials. A broker's answer leads there as its name does: it is the same call.
TEST(KafkaClient, ConnectsToNoMetadataAddress) {
    for (const char* server : {"169.254.169.254:9", "[::ffff:169.254.169.254]:9", "100.100.100.200:9"}) {
        const auto told = first_word_about(server);
        EXPECT_NE(told.find("Permission denied"), std::string::npos) << server << ": " << told;
    }
    const auto told = first_word_about("127.0.0.1:9");
    EXPECT_NE(told.find("refused"), std::string::npos) << told;
}

}  // namespace
}  // namespace fetcher
