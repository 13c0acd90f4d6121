#include "processors/file_sink_options.h"

#include <nlohmann/json.hpp>

#include "processors/duration.h"
#include "processors/path_template.h"

namespace fetcher {
namespace {

constexpr size_t kMaxPathBytes = 3500;
constexpr std::chrono::milliseconds kLongestFsyncInterval = std::chrono::hours(1);  // until then nothing is committed to Kafka

nlohmann::json duration_schema(const char* standard, const char* description) {
    return {{"type", "string"}, {"pattern", kDurationPattern}, {"default", standard}, {"description", description}};
}

void read_duration(const nlohmann::json& config, const char* name, std::chrono::milliseconds& into) {
    if (!config.contains(name)) return;
    if (const auto duration = parse_duration(config[name].get<std::string>())) into = *duration;
}

void check_duration(const nlohmann::json& config, const char* name, std::chrono::milliseconds longest, const char* longest_text,
                    std::vector<ConfigProblem>& problems) {
    if (!config.contains(name)) return;
    const auto duration = parse_duration(config[name].get<std::string>());
    if (duration && *duration <= longest) return;
    problems.push_back({std::string("/") + name,
                        std::string("must be a whole number with a unit (ms, s, m or h), as in \"10s\", and at most ") + longest_text});
}

std::string joined(const std::vector<std::string>& roots) {
    std::string text;
    for (const auto& root : roots) text.append(text.empty() ? "" : ":").append(root);
    return text.empty() ? "(none)" : text;
}

std::optional<std::string> placement_problem(const std::string& path, const ProcessorEnvironment& environment) {
    const auto placed = place_beneath(path, environment.file_sink_roots);
    if (!placed) {
        return path + " is not beneath a folder of FILE_SINK_ROOTS, which is " + joined(environment.file_sink_roots) +
               "; choose a path there or extend FILE_SINK_ROOTS and restart the server";
    }
    if (const auto name = placed->reserved_name()) {
        return "contains the name " + *name + "; names that begin with 'kafka-fetcher.' are for the server's own files, choose another";
    }
    if (path.size() > kMaxPathBytes) return "is longer than 3500 bytes once its placeholders are filled in";
    if (placed->file.size() > kMaxSinkFileNameBytes) return "the file's name is longer than 215 bytes once its placeholders are filled in";
    for (const auto& folder : placed->folders) {
        if (folder.size() > 255) return "a folder's name is longer than 255 bytes once its placeholders are filled in";
    }
    return path_template_problem(path);  // what is filled in may have made it the name of a checkpoint
}

}  // namespace

nlohmann::json FileSinkOptions::schema() {
    nlohmann::json properties;
    properties["file_path"] = {
        {"type", "string"},
        {"minLength", 2},
        {"maxLength", 3500},
        {"description",
         "Absolute path of the file, beneath a folder of FILE_SINK_ROOTS. {topic}, {partition}, {instance} and {consumer_id} are filled "
         "in. Missing folders are made. Beside it lies <file>.checkpoint, which says what of the file is safe: leave it there."}};
    properties["format"] = {{"type", "string"},
                            {"enum", {"raw", "ndjson"}},
                            {"default", "raw"},
                            {"description",
                             "raw: each value followed by a newline; a null value is an empty line. ndjson: a JSON object per line with "
                             "topic, partition, offset, timestamp, key, headers, value; what is not UTF-8 becomes {\"base64\": \"…\"}."}};
    properties["rotate_bytes"] = {{"type", "integer"},
                                  {"minimum", 0},
                                  {"maximum", int64_t{1} << 50},
                                  {"default", 0},
                                  {"description",
                                   "A file is finished before the record that would make it larger than this, and a new one begun; the "
                                   "finished one becomes <name>.<UTC time>-<number><extension>. With compression: once it is as large. "
                                   "0: never."}};
    properties["rotate_interval"] =
        duration_schema("0s", "A file is finished this long after its first record: \"10m\", \"1h\". \"0s\": never.");
    properties["compression"] = {{"type", "string"},
                                 {"enum", {"none", "zstd"}},
                                 {"default", "none"},
                                 {"description",
                                  "zstd: a sequence of zstd frames, one per fsync, readable by zstdcat at any time up to the last one. A "
                                  "longer fsync_interval compresses better."}};
    properties["fsync_interval"] = duration_schema(
        "100ms", "How long a record may be in the file without being safe from a power cut, and thus without being committed to Kafka. "
                 "\"0ms\": every batch is synced at once. At most \"1h\".");
    return {{"$schema", "http://json-schema.org/draft-07/schema#"},
            {"title", "file_sink"},
            {"description", "Appends records to a file, each exactly once."},
            {"type", "object"},
            {"additionalProperties", false},
            {"required", {"file_path"}},
            {"properties", properties}};
}

FileSinkOptions FileSinkOptions::from(const nlohmann::json& config) {
    FileSinkOptions options;
    options.file_path = config.at("file_path").get<std::string>();
    if (config.value("format", "raw") == "ndjson") options.format.framing = Framing::ndjson;
    if (config.value("compression", "none") == "zstd") options.format.compression = Compression::zstd;
    options.rotate_bytes = config.value("rotate_bytes", uint64_t{0});
    read_duration(config, "rotate_interval", options.rotate_interval);
    read_duration(config, "fsync_interval", options.fsync_interval);
    return options;
}

std::vector<ConfigProblem> FileSinkOptions::check(const nlohmann::json& config, const ProcessorOwner& owner,
                                                  const ProcessorEnvironment& environment) {
    std::vector<ConfigProblem> problems;
    check_duration(config, "rotate_interval", kLongestDuration, "87600h", problems);
    check_duration(config, "fsync_interval", kLongestFsyncInterval, "1h", problems);
    if (auto problem = path_problem(config.at("file_path").get<std::string>(), owner, environment)) problems.push_back({"/file_path", std::move(*problem)});
    return problems;
}

std::optional<std::string> FileSinkOptions::path_problem(const std::string& file_path, const ProcessorOwner& owner,
                                                         const ProcessorEnvironment& environment) {
    if (auto problem = path_template_problem(file_path)) return problem;
    // The longest partition number stands for all of them.
    return placement_problem(expand_path(file_path, {owner.topic, environment.instance_id, owner.consumer_id, INT32_MAX}), environment);
}

bool FileSinkOptions::is_shared_by_members() const {
    return has_partition(file_path) && file_path.find("{instance}") == std::string::npos;
}

std::string FileSinkOptions::path_for(const ProcessorOwner& owner, const ProcessorEnvironment& environment,
                                      std::optional<int32_t> partition) const {
    return expand_path(file_path, {owner.topic, environment.instance_id, owner.consumer_id, partition});
}

}  // namespace fetcher
