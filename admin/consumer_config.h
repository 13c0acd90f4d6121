// From a request's body to a consumer's definition: validated field by field, merged with what there was, masked for answers.
// Thread: any
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "admin/consumer.h"
#include "admin/problem.h"
#include "engine/kafka_properties.h"
#include "processors/registry.h"

namespace fetcher {

class ConsumerConfig {
  public:
    ConsumerConfig(const ProcessorRegistry& registry, const ProcessorEnvironment& environment)
        : registry_(registry), environment_(environment) {}

    // A new consumer with ids and times given; 422 with every field that is wrong.
    Answer<StoredConsumer> create(const nlohmann::json& body, const std::string& now) const;

    // current with the body's top-level fields in place of its own; processor_configs as a whole. A processor that names an existing id,
    // or is the only one of its type before and after, keeps id and created_at. updated_at moves only with what has changed.
    Answer<StoredConsumer> merge(const StoredConsumer& current, const nlohmann::json& body, const std::string& now) const;

    // current with an older definition in place of its own. Its processors keep their ids; what does not change keeps its updated_at. 422 if
    // this build, or this server's settings, do not allow it any more.
    Answer<StoredConsumer> restore(const StoredConsumer& current, const ConsumerSpec& old, const std::string& now) const;

    // A processor's config as an answer may show it.
    nlohmann::json masked(const ProcessorSpec& processor) const;

    // The consumer's cluster and how to be let in, ready for use.
    Result<KafkaCluster> cluster(const ConsumerSpec& spec) const;

    // What the consumer's processors need for themselves alone; empty entries where one needs nothing. In the order of the processors.
    std::vector<std::string> claims(const StoredConsumer& consumer) const;
    // The file of its dead letters as a file_sink would claim it, which no processor may have; "": none. Dead letters may share one.
    std::string dead_letter_claim(const StoredConsumer& consumer) const;

  private:
    std::vector<FieldError> check(const StoredConsumer& consumer) const;
    std::string claim(const ProcessorSpec& processor, const ProcessorOwner& owner) const;
    void restore_secrets(const ProcessorSpec& before, ProcessorSpec& after) const;
    std::string known_types() const;

    const ProcessorRegistry& registry_;
    const ProcessorEnvironment& environment_;
};

}  // namespace fetcher
