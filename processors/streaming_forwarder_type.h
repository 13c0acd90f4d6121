// StreamingForwarderType: streaming_forwarder's entry in the registry.
// Thread: any
#pragma once

#include "processors/registry.h"

namespace fetcher {

class StreamingForwarderType final : public ProcessorType {
  public:
    std::string name() const override { return "streaming_forwarder"; }
    nlohmann::json schema() const override;
    std::vector<ConfigProblem> check(const nlohmann::json& config, const ProcessorOwner& owner,
                                     const ProcessorEnvironment& environment) const override;
    nlohmann::json masked(const nlohmann::json& config) const override;
    std::string secrets_go_to() const override { return "endpoint_url"; }
    std::string claim(const nlohmann::json& config, const ProcessorOwner& owner, const ProcessorEnvironment& environment) const override;
    Result<std::unique_ptr<Processor>> make(const nlohmann::json& config, const ProcessorOwner& owner,
                                            const ProcessorEnvironment& environment) const override;
    void forget_all_but(const std::set<std::string>& consumers, const ProcessorEnvironment& environment) const override;
};

}  // namespace fetcher
