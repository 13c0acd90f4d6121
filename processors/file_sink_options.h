// FileSinkOptions: the configuration of a file_sink, and its JSON Schema.
// Thread: any; never changes
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "processors/registry.h"
#include "processors/sink_format.h"

namespace fetcher {

struct FileSinkOptions {
    std::string file_path;  // with placeholders
    SinkFormat format;
    uint64_t rotate_bytes = 0;                     // 0: never
    std::chrono::milliseconds rotate_interval{0};  // 0: never
    std::chrono::milliseconds fsync_interval{100};

    static nlohmann::json schema();
    // Requires that config has passed the schema.
    static FileSinkOptions from(const nlohmann::json& config);
    // What the schema cannot say: durations, placeholders, roots. Looks at the config alone, never at the disk.
    static std::vector<ConfigProblem> check(const nlohmann::json& config, const ProcessorOwner& owner,
                                            const ProcessorEnvironment& environment);

    // Why a file_path of any kind cannot be used: placeholders, roots, lengths. nullopt: nothing speaks against it.
    static std::optional<std::string> path_problem(const std::string& file_path, const ProcessorOwner& owner, const ProcessorEnvironment& environment);

    // Whether every member of the group would write a partition into the same file, given that they see the same file system.
    bool is_shared_by_members() const;
    // The file for a partition; nullopt leaves {partition} as it is.
    std::string path_for(const ProcessorOwner& owner, const ProcessorEnvironment& environment, std::optional<int32_t> partition) const;
};

}  // namespace fetcher
