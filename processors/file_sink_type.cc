#include "processors/file_sink_type.h"

#include "processors/file_sink.h"

namespace fetcher {

nlohmann::json FileSinkType::schema() const { return FileSinkOptions::schema(); }

std::vector<ConfigProblem> FileSinkType::check(const nlohmann::json& config, const ProcessorOwner& owner,
                                               const ProcessorEnvironment& environment) const {
    return FileSinkOptions::check(config, owner, environment);
}

std::string FileSinkType::claim(const nlohmann::json& config, const ProcessorOwner& owner,
                                const ProcessorEnvironment& environment) const {
    return "file " + FileSinkOptions::from(config).path_for(owner, environment, std::nullopt);
}

Result<std::unique_ptr<Processor>> FileSinkType::make(const nlohmann::json& config, const ProcessorOwner& owner,
                                                      const ProcessorEnvironment& environment) const {
    const auto problems = check(config, owner, environment);
    if (!problems.empty()) return fatal(problems.front().pointer.substr(1) + ": " + problems.front().detail);
    return std::make_unique<FileSink>(FileSinkOptions::from(config), owner, environment, kernel_calls());
}

}  // namespace fetcher
