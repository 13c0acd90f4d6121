#include "admin/pipeline_factory.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_sink.h"

namespace fetcher {
namespace {

using nlohmann::json;

// Makes sinks, or cannot.
class SomeType : public ProcessorType {
  public:
    SomeType(std::string name, testing::FakeStore* sink) : name_(std::move(name)), sink_(sink) {}
    std::string name() const override { return name_; }
    json schema() const override { return {{"type", "object"}}; }
    std::vector<ConfigProblem> check(const json&, const ProcessorOwner&, const ProcessorEnvironment&) const override { return {}; }
    Result<std::unique_ptr<Processor>> make(const json&, const ProcessorOwner&, const ProcessorEnvironment&) const override {
        if (!sink_) return fatal("its endpoint is no longer allowed");
        return std::make_unique<testing::FakeSink>(*sink_);
    }

  private:
    const std::string name_;
    testing::FakeStore* const sink_;
};

TEST(PipelineFactoryTest, AProcessorThatCannotBeMadeIsItsConsumersFailureOnlyIfItIsRequired) {
    testing::FakeStore sink;
    ProcessorRegistry registry;
    registry.add(std::make_unique<SomeType>("good", &sink));
    registry.add(std::make_unique<SomeType>("bad", nullptr));
    MemoryBudget budget(1 << 20);
    const ProcessorEnvironment environment{"i", {}};
    const auto factory = make_pipeline_factory(registry, environment, budget);
    StoredConsumer consumer;
    consumer.consumer_id = "c";
    consumer.spec.broker_ip = "127.0.0.1";
    consumer.spec.broker_port = 1;
    consumer.spec.topic = "t";
    consumer.spec.consumer_group = "g";
    consumer.spec.processors = {{"p0", "good", json::object(), true, "", ""}, {"p1", "bad", json::object(), false, "", ""}};
    const auto runs = factory(consumer);
    EXPECT_TRUE(runs) << runs.error().reason;
    consumer.spec.processors[1].required = true;
    const auto refused = factory(consumer);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason, "its endpoint is no longer allowed");
}

}  // namespace
}  // namespace fetcher
