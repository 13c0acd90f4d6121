// FileSinkType: file_sink's entry in the registry.
// Thread: any
#pragma once

#include "processors/registry.h"

namespace fetcher {

class FileSinkType final : public ProcessorType {
  public:
    std::string name() const override { return "file_sink"; }
    nlohmann::json schema() const override;
    std::vector<ConfigProblem> check(const nlohmann::json& config, const ProcessorOwner& owner,
                                     const ProcessorEnvironment& environment) const override;
    std::string claim(const nlohmann::json& config, const ProcessorOwner& owner,
                      const ProcessorEnvironment& environment) const override;
    Result<std::unique_ptr<Processor>> make(const nlohmann::json& config, const ProcessorOwner& owner,
                                            const ProcessorEnvironment& environment) const override;
};

}  // namespace fetcher
