#include "admin/pipeline_factory.h"

#include "admin/failure_fields.h"
#include "admin/kafka_properties.h"
#include "admin/schema_validator.h"
#include "processors/dead_letter_destination.h"

namespace fetcher {

namespace {

class EnginePipeline : public RunningPipeline {
  public:
    EnginePipeline(PipelineOptions options, std::vector<PipelineProcessor> processors, MemoryBudget& budget)
        : pipeline_(std::move(options), std::move(processors), budget) {}
    void start() override { pipeline_.start(); }
    void request_stop() override { pipeline_.request_stop(); }
    bool finished() const override { return pipeline_.finished(); }
    PipelineSnapshot snapshot() const override { return pipeline_.snapshot(); }

  private:
    Pipeline pipeline_;
};

PipelineOptions options_of(const StoredConsumer& consumer, KafkaCluster cluster, const ProcessorEnvironment& environment) {
    PipelineOptions options;
    options.consumer_id = consumer.consumer_id;
    options.cluster = std::move(cluster);
    options.topic = consumer.spec.topic;
    options.group = consumer.spec.consumer_group;
    options.group_instance_id = environment.instance_id + "-" + consumer.consumer_id;
    options.auto_offset_reset = consumer.spec.auto_offset_reset;
    options.partition_assignment_strategy = consumer.spec.partition_assignment_strategy;
    options.retry = retry_policy(consumer.spec.retry);
    const auto restart = restart_policy(consumer.spec.restart, {});
    options.reopen = {restart.initial, restart.max, restart.healthy_after, restart.attempts};
    options.pin_thread = environment.pin_threads;
    return options;
}

// In the place of a best-effort processor whose options this process cannot use: its consumer runs without it, and says why.
class CannotBeMade final : public Processor {
  public:
    explicit CannotBeMade(std::string why) : why_(std::move(why)) {}
    void bind(Acks&) override {}
    Result<std::optional<Position>> open(const std::shared_ptr<Assignment>&) override { return fatal(why_); }
    Outcome write(const Batch&, size_t) override { return Outcome::fatal(why_); }
    void close(const Assignment&) override {}

  private:
    const std::string why_;
};

}  // namespace

PipelineFactory make_pipeline_factory(const ProcessorRegistry& registry, const ProcessorEnvironment& environment, MemoryBudget& budget) {
    return [&](const StoredConsumer& consumer) -> Result<std::unique_ptr<RunningPipeline>> {
        const ProcessorOwner owner{consumer.consumer_id, consumer.spec.consumer_group, consumer.spec.topic, retry_policy(consumer.spec.retry)};
        auto cluster = kafka_cluster(consumer.spec, environment);
        if (!cluster) return tl::unexpected<Error>(cluster.error());
        std::vector<PipelineProcessor> processors;
        for (const auto& spec : consumer.spec.processors) {
            const auto* type = registry.find(spec.type);
            if (!type) return fatal("this build does not know the processor type " + spec.type);
            // It was valid when it was stored; since then, another build or somebody's hand may have been at it.
            if (const auto wrong = validate_by_schema(type->schema(), spec.config); !wrong.empty())
                return fatal("its stored configuration is not valid: " + wrong.front().pointer + " " + wrong.front().detail);
            auto make = [type, config = spec.config, owner, &environment] { return type->make(config, owner, environment); };
            auto processor = make();
            if (!processor && spec.required) return tl::unexpected<Error>(processor.error());
            if (!processor) processor = std::make_unique<CannotBeMade>(processor.error().reason);
            processors.push_back({spec.id, spec.type, std::move(*processor), spec.required, std::move(make)});
        }
        auto options = options_of(consumer, std::move(*cluster), environment);
        if (!consumer.spec.dead_letter.is_null()) {
            auto made = make_dead_letters(consumer.spec.dead_letter, owner, environment, options.cluster);
            if (!made) return tl::unexpected<Error>(made.error());
            options.dead_letters = std::move(*made);
        }
        return std::make_unique<EnginePipeline>(std::move(options), std::move(processors), budget);
    };
}

}  // namespace fetcher
