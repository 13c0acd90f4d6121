#include "admin/consumer_config.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "admin/consumer_document.h"

namespace fetcher {
namespace {

using nlohmann::json;

// A type with a secret, limits and a claim on what it writes to.
class SampleType : public ProcessorType {
  public:
    explicit SampleType(std::string name) : name_(std::move(name)) {}
    std::string name() const override { return name_; }
    json schema() const override {
        return {{"type", "object"},
                {"additionalProperties", false},
                {"required", {"place"}},
                {"properties",
                 {{"place", {{"type", "string"}, {"minLength", 1}}},
                  {"password", {{"type", "string"}, {"writeOnly", true}}},
                  {"mode", {{"enum", {"slow", "fast"}}}},
                  {"workers", {{"type", "integer"}, {"minimum", 1}, {"maximum", 8}}}}}};
    }
    std::vector<ConfigProblem> check(const json& config, const ProcessorOwner&, const ProcessorEnvironment&) const override {
        if (config.value("password", "") == "***") return {{"/password", "is the mask"}};
        if (config.at("place") == "/forbidden") return {{"/place", "is outside FILE_SINK_ROOTS"}};
        return {};
    }
    json masked(const json& config) const override {
        auto shown = config;
        if (shown.contains("password")) shown["password"] = "***";
        return shown;
    }
    std::string secrets_go_to() const override { return "place"; }
    std::string claim(const json& config, const ProcessorOwner&, const ProcessorEnvironment&) const override {
        return "place " + config.at("place").get<std::string>();
    }
    Result<std::unique_ptr<Processor>> make(const json&, const ProcessorOwner&, const ProcessorEnvironment&) const override {
        return fatal("not in this test");
    }

  private:
    std::string name_;
};

class ConsumerConfigTest : public ::testing::Test {
  protected:
    ConsumerConfigTest() {
        registry_.add(std::make_unique<SampleType>("sample"));
        registry_.add(std::make_unique<SampleType>("other"));
    }

    static json processor(const std::string& type, const std::string& place) {
        return {{"processor_type", type}, {"config", {{"place", place}}}};
    }
    static json body() {
        return {{"broker_ip", "192.168.0.10"},
                {"broker_port", 9092},
                {"topic", "payments"},
                {"consumer_group", "g"},
                {"processor_configs", {processor("sample", "/a")}}};
    }
    json changed(const std::string& field, json value) const {
        auto made = body();
        made[field] = std::move(value);
        return made;
    }
    StoredConsumer created(const json& from) const {
        const auto made = config_.create(from, "t1");
        EXPECT_TRUE(made);
        return made.value_or(StoredConsumer{});
    }
    // The pointers that a create of this body complains about.
    std::vector<std::string> complaints(const json& from) const {
        std::vector<std::string> pointers;
        const auto made = config_.create(from, "t1");
        if (made) return pointers;
        EXPECT_EQ(made.error().status, 422);
        for (const auto& error : made.error().errors) pointers.push_back(error.pointer);
        return pointers;
    }

    ProcessorRegistry registry_;
    const ProcessorEnvironment environment_{"instance", {"/"}};
    const ConsumerConfig config_{registry_, environment_};
};

using Pointers = std::vector<std::string>;

TEST_F(ConsumerConfigTest, TakesTheBodyOfTheContract) {
    const auto made = created(changed("auto_start", true));
    EXPECT_EQ(made.desired, Desired::running);
    EXPECT_EQ(made.spec.broker_port, 9092);
    EXPECT_EQ(made.spec.auto_offset_reset, "earliest");
    EXPECT_EQ(made.spec.partition_assignment_strategy, "range");
    EXPECT_EQ(made.spec.processors.at(0).created_at, "t1");
    EXPECT_EQ(made.consumer_id.size(), 36U);
    EXPECT_EQ(created(body()).desired, Desired::stopped);
}

TEST_F(ConsumerConfigTest, NamesEveryFieldThatIsWrong) {
    auto wrong = body();
    wrong["topic"] = "";
    wrong["broker_port"] = 0;
    wrong["colour"] = "red";
    wrong.erase("consumer_group");
    auto found = complaints(wrong);
    std::sort(found.begin(), found.end());
    EXPECT_EQ(found, (Pointers{"/broker_port", "/colour", "/consumer_group", "/topic"}));
}

TEST_F(ConsumerConfigTest, RefusesWrongFields) {
    const std::vector<std::pair<std::string, json>> wrong = {{"broker_ip", ""},
                                                             {"broker_ip", 7},
                                                             {"broker_ip", "a b"},
                                                             {"broker_ip", "a:9092"},
                                                             {"broker_ip", "a,b"},
                                                             {"broker_ip", "http://a"},
                                                             {"broker_ip", "169.254.169.254"},
                                                             {"broker_ip", "::ffff:169.254.169.254"},
                                                             {"broker_ip", "fe80::1"},
                                                             {"broker_port", 0},
                                                             {"broker_port", 65536},
                                                             {"broker_port", -1},
                                                             {"broker_port", "9092"},
                                                             {"broker_port", 90.5},
                                                             {"broker_port", nullptr},
                                                             {"topic", ""},
                                                             {"topic", "^pay"},
                                                             {"topic", "__consumer_offsets"},
                                                             {"topic", "a/b"},
                                                             {"topic", "."},
                                                             {"topic", std::string(250, 'a')},
                                                             {"topic", 1},
                                                             {"consumer_group", ""},
                                                             {"consumer_group", "a\nb"},
                                                             {"consumer_group", true},
                                                             {"auto_start", "true"},
                                                             {"auto_offset_reset", "never"},
                                                             {"partition_assignment_strategy", "sticky"},
                                                             {"processor_configs", json::array()},
                                                             {"processor_configs", "x"},
                                                             {"processor_configs", nullptr},
                                                             {"status", "ACTIVE"},
                                                             {"consumer_id", "x"}};
    for (const auto& [field, value] : wrong) EXPECT_EQ(complaints(changed(field, value)), Pointers{"/" + field}) << value;
}

TEST_F(ConsumerConfigTest, RefusesWhatIsNoObject) {
    for (const auto& value : {json::array(), json("x"), json(1), json(nullptr)}) EXPECT_EQ(complaints(value), Pointers{""}) << value;
}

TEST_F(ConsumerConfigTest, RefusesWrongProcessors) {
    const std::string at = "/processor_configs/0";
    const std::vector<std::pair<json, std::string>> wrong = {
        {json(1), at},
        {json::object(), at + "/processor_type"},
        {{{"processor_type", "no_such_sink"}, {"config", json::object()}}, at + "/processor_type"},
        {{{"processor_type", 1}}, at + "/processor_type"},
        {{{"processor_type", "sample"}, {"config", 1}}, at + "/config"},
        {{{"processor_type", "sample"}, {"config", json::object()}}, at + "/config/place"},
        {{{"processor_type", "sample"}}, at + "/config/place"},
        {{{"processor_type", "sample"}, {"config", {{"place", 1}}}}, at + "/config/place"},
        {{{"processor_type", "sample"}, {"config", {{"place", ""}}}}, at + "/config/place"},
        {{{"processor_type", "sample"}, {"config", {{"place", "/forbidden"}}}}, at + "/config/place"},
        {{{"processor_type", "sample"}, {"config", {{"place", "/a"}, {"size", 1}}}}, at + "/config/size"},
        {{{"processor_type", "sample"}, {"config", {{"place", "/a"}, {"mode", "odd"}}}}, at + "/config/mode"},
        {{{"processor_type", "sample"}, {"config", {{"place", "/a"}, {"workers", 9}}}}, at + "/config/workers"},
        {{{"processor_type", "sample"}, {"config", {{"place", "/a"}, {"workers", 1.5}}}}, at + "/config/workers"},
        {{{"processor_type", "sample"}, {"config", {{"place", "/a"}}}, {"extra", 1}}, at + "/extra"}};
    for (const auto& [item, pointer] : wrong)
        EXPECT_EQ(complaints(changed("processor_configs", json::array({item}))), Pointers{pointer}) << item;
}

TEST_F(ConsumerConfigTest, SaysWhatWouldBeRight) {
    const auto detail = [&](const json& from) { return config_.create(from, "t1").error().errors.at(0).detail; };
    EXPECT_EQ(detail(changed("broker_port", 0)), "must be from 1 to 65535");
    EXPECT_EQ(detail(changed("broker_port", "9092")), "must be an integer");
    EXPECT_EQ(detail(changed("auto_offset_reset", "x")), "must be one of earliest, latest");
    EXPECT_NE(detail(changed("processor_configs", {{{"processor_type", "nothing"}}})).find("sample"), std::string::npos);
}

TEST_F(ConsumerConfigTest, RefusesOnePlaceForTwoProcessors) {
    EXPECT_EQ(complaints(changed("processor_configs", {processor("sample", "/a"), processor("sample", "/a")})),
              Pointers{"/processor_configs/1/config"});
}

TEST_F(ConsumerConfigTest, DeadLettersGoIntoNoFileOfItsSinks) {
    auto both = changed("processor_configs", {{{"processor_type", "file_sink"}, {"config", {{"file_path", "/no-such-folder/a.log"}}}}});
    both["dead_letter"] = {{"file_path", "/no-such-folder//a.log"}};
    EXPECT_EQ(complaints(both), Pointers{"/dead_letter/file_path"});
    both["dead_letter"] = {{"file_path", "/no-such-folder/b.log"}};
    EXPECT_EQ(complaints(both), Pointers{});
}

TEST_F(ConsumerConfigTest, MergesTopLevelFields) {
    const auto before = created(body());
    const auto after = *config_.merge(before, {{"topic", "new_topic"}, {"broker_port", 9093}}, "t2");
    EXPECT_EQ(after.spec.topic, "new_topic");
    EXPECT_EQ(after.spec.broker_port, 9093);
    EXPECT_EQ(after.spec.consumer_group, "g");
    EXPECT_EQ(after.spec.processors, before.spec.processors);
    EXPECT_EQ(after.created_at, "t1");
    EXPECT_EQ(after.updated_at, "t2");
}

TEST_F(ConsumerConfigTest, AnUpdateThatChangesNothingIsNone) {
    const auto before = created(body());
    const auto after = *config_.merge(before, body(), "t2");
    EXPECT_EQ(after.spec, before.spec);
    EXPECT_EQ(after.updated_at, "t1");
}

TEST_F(ConsumerConfigTest, TheOnlyProcessorOfItsTypeKeepsItsIdentity) {
    const auto before = created(body());
    const auto after = *config_.merge(before, {{"processor_configs", {processor("other", "/b"), processor("sample", "/c")}}}, "t2");
    ASSERT_EQ(after.spec.processors.size(), 2U);
    EXPECT_EQ(after.spec.processors[0].created_at, "t2");
    EXPECT_EQ(after.spec.processors[1].id, before.spec.processors[0].id);
    EXPECT_EQ(after.spec.processors[1].created_at, "t1");
    EXPECT_EQ(after.spec.processors[1].updated_at, "t2");
}

TEST_F(ConsumerConfigTest, AmongSeveralOfATypeTheIdDecides) {
    const auto before = created(changed("processor_configs", {processor("sample", "/a"), processor("sample", "/b")}));
    auto named = processor("sample", "/b");
    named["id"] = before.spec.processors[1].id;
    const auto after = *config_.merge(before, {{"processor_configs", {processor("sample", "/a"), named}}}, "t2");
    EXPECT_NE(after.spec.processors[0].id, before.spec.processors[0].id);
    EXPECT_EQ(after.spec.processors[1], before.spec.processors[1]) << "unchanged, so updated_at stays";
}

TEST_F(ConsumerConfigTest, RefusesIdsThatNameNothing) {
    const auto before = created(body());
    const auto pointer = [&](const json& processors) {
        const auto merged = config_.merge(before, {{"processor_configs", processors}}, "t2");
        return merged ? "" : merged.error().errors.at(0).pointer;
    };
    auto unknown = processor("sample", "/a");
    unknown["id"] = "x";
    EXPECT_EQ(pointer(json::array({unknown})), "/processor_configs/0/id");
    auto other_type = processor("other", "/a");
    other_type["id"] = before.spec.processors[0].id;
    EXPECT_EQ(pointer(json::array({other_type})), "/processor_configs/0/processor_type");
    auto twice = processor("sample", "/a"), again = processor("sample", "/b");
    twice["id"] = again["id"] = before.spec.processors[0].id;
    EXPECT_EQ(pointer(json::array({twice, again})), "/processor_configs/1/id");
}

TEST_F(ConsumerConfigTest, SecretsAreMaskedAndSurviveTheWayBack) {
    auto from = body();
    from["processor_configs"][0]["config"]["password"] = "hunter2";
    const auto before = created(from);
    const auto shown = config_.masked(before.spec.processors[0]);
    EXPECT_EQ(shown.dump().find("hunter2"), std::string::npos);

    const json back = {{"processor_configs",
                        {{{"id", before.spec.processors[0].id}, {"processor_type", "sample"}, {"config", shown}, {"created_at", "t1"}}}}};
    EXPECT_EQ(config_.merge(before, back, "t2")->spec, before.spec);

    auto elsewhere = back;
    elsewhere["processor_configs"][0]["config"]["place"] = "/mine";
    const auto refused = config_.merge(before, elsewhere, "t2");
    ASSERT_FALSE(refused) << "nobody learns a secret by sending it to a place of his own";
    EXPECT_EQ(refused.error().errors.at(0).pointer, "/processor_configs/0/config/password");
}

TEST_F(ConsumerConfigTest, AnUnknownTypeShowsNothing) {
    EXPECT_EQ(config_.masked({"p", "from_a_newer_build", {{"password", "hunter2"}}, true, "", ""}), json::object());
}

TEST(ConsumerDocument, IsTheSameAfterTheRoundTrip) {
    ConsumerSpec spec{.broker_ip = "::1",
                      .broker_port = 9092,
                      .topic = "t",
                      .consumer_group = "g",
                      .auto_offset_reset = "latest",
                      .dead_letter = {{"topic", "d"}},
                      .retry = {{"max", "1s"}},
                      .restart = {{"attempts", 3}},
                      .restart_requests = 2,
                      .processors = {{"p", "x", {{"a", {1, 2}}}, true, "t1", "t2"}, {"q", "x", nlohmann::json::object(), false, "t1", "t2"}}};
    spec.kafka_properties = {{"sasl.password", "${secret:PASSWORD}"}};
    EXPECT_EQ(from_document(to_document(spec)), spec);
    EXPECT_EQ(spec.bootstrap_servers(), "[::1]:9092");
}

TEST(ConsumerDocument, OneOfABuildWithoutKafkaPropertiesIsRead) {
    ConsumerSpec spec{"h", 9092, "t", "g", "latest", "range", {}};
    auto document = json::parse(to_document(spec));
    ASSERT_EQ(document.erase("kafka_properties"), 1U);
    EXPECT_EQ(from_document(document.dump()), spec);
}

TEST(ConsumerDocument, ADamagedOneIsToldWithoutWhatItHolds) {
    const auto whole = to_document({"h", 9092, "t", "g", "latest", "range", {{"p", "x", {{"password", "hunter2"}}, "t1", "t2"}}});
    StoredConsumer consumer;
    read_document(whole, consumer);
    EXPECT_EQ(consumer.unreadable, "");
    EXPECT_EQ(consumer.spec.topic, "t");
    for (const auto& damaged : {std::string(), whole.substr(0, whole.find("hunter2") + 7), whole + "\"hunter2\"", std::string("\xff\xfe"),
                                std::string("{}"), std::string("[\"hunter2\"]"), std::string("\"hunter2\""), std::string("null"),
                                std::string(R"({"broker_ip": {"hunter2": 1}})")}) {
        StoredConsumer found;
        read_document(damaged, found);
        EXPECT_NE(found.unreadable.find("damaged"), std::string::npos) << damaged;
        EXPECT_EQ(found.unreadable.find("hunter2"), std::string::npos) << found.unreadable;
        EXPECT_EQ(found.spec, ConsumerSpec());
    }
}

}  // namespace
}  // namespace fetcher
