// test_slow: a processor for tests that is as slow, as stuck or as unavailable as its options say, and may note what it was given.
// It keeps no position: it starts at the group's committed offset. In kafka-fetcher-testing only.
// Thread: any; its processors: worker
#pragma once

#include "processors/registry.h"

namespace fetcher::testing {

class SlowProcessorType : public ProcessorType {
  public:
    std::string name() const override { return "test_slow"; }
    nlohmann::json schema() const override;
    std::vector<ConfigProblem> check(const nlohmann::json& config, const ProcessorOwner& owner,
                                     const ProcessorEnvironment& environment) const override;
    Result<std::unique_ptr<Processor>> make(const nlohmann::json& config, const ProcessorOwner& owner,
                                            const ProcessorEnvironment& environment) const override;
};

}  // namespace fetcher::testing
