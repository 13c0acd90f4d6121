// PathTemplate: a file path with placeholders, and where it may lie.
//
// Known placeholders: {topic}, {partition}, {instance}, {consumer_id}. What is filled in is escaped (percent, as in URLs) so that it can
// neither add a path component nor hide a file: every byte outside [A-Za-z0-9._-] and a leading dot.
// Thread: any
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fetcher {

// Of a file name's 255: what we put behind it takes the rest (a rotation's time and number, ".checkpoint.new").
constexpr size_t kMaxSinkFileNameBytes = 215;

struct PathValues {
    std::string topic;
    std::string instance;
    std::string consumer_id;
    std::optional<int32_t> partition;  // nullopt: {partition} stays as it is
};

// Why `path_template` cannot be used, with the remedy; nullopt if it can. Looks at the text alone, never at the disk.
std::optional<std::string> path_template_problem(std::string_view path_template);

bool has_partition(std::string_view path_template);

// Requires that path_template_problem() found nothing. The result is absolute, without empty, "." or ".." components.
std::string expand_path(std::string_view path_template, const PathValues& values);

// A path split at the root beneath which it lies.
struct RootedPath {
    std::string root;                  // absolute
    std::vector<std::string> folders;  // between root and file; may be empty
    std::string file;

    std::string relative() const;  // folders and file
    std::string absolute() const;
    // The first name in it that only the server's own files bear: "kafka-fetcher.…", whatever the folder, so that no root, link or
    // mount leads to them. nullopt: none, which a sink must have made sure of before it opens anything.
    std::optional<std::string> reserved_name() const;
};

// The deepest root that contains `path` (as made by expand_path); nullopt if none does.
std::optional<RootedPath> place_beneath(std::string_view path, const std::vector<std::string>& roots);

}  // namespace fetcher
