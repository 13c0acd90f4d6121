#include "processors/file_sink_type.h"

#include <cstdint>

#include "processors/file_sink.h"
#include "processors/sink_folder.h"

namespace fetcher {

nlohmann::json FileSinkType::schema() const { return FileSinkOptions::schema(); }

std::vector<ConfigProblem> FileSinkType::check(const nlohmann::json& config, const ProcessorOwner& owner,
                                               const ProcessorEnvironment& environment) const {
    auto problems = FileSinkOptions::check(config, owner, environment);
    if (!problems.empty()) return problems;
    const auto path = FileSinkOptions::from(config).path_for(owner, environment, INT32_MAX);
    if (auto obstacle = SinkFolder::obstacle(kernel_calls(), *place_beneath(path, environment.file_sink_roots)))
        problems.push_back({"/file_path", std::move(*obstacle)});
    return problems;
}

std::string FileSinkType::claim(const nlohmann::json& config, const ProcessorOwner& owner,
                                const ProcessorEnvironment& environment) const {
    return "file " + FileSinkOptions::from(config).path_for(owner, environment, std::nullopt);
}

Result<std::unique_ptr<Processor>> FileSinkType::make(const nlohmann::json& config, const ProcessorOwner& owner,
                                                      const ProcessorEnvironment& environment) const {
    const auto problems = FileSinkOptions::check(config, owner, environment);
    if (!problems.empty()) return fatal(problems.front().pointer.substr(1) + ": " + problems.front().detail);
    return std::make_unique<FileSink>(FileSinkOptions::from(config), owner, environment, kernel_calls());
}

}  // namespace fetcher
