#include "processors/path_template.h"

#include <algorithm>

namespace fetcher {
namespace {

constexpr size_t kMaxComponentBytes = 255;
// DataDir names each of the server's files so.
constexpr std::string_view kReservedPrefix = "kafka-fetcher.";
constexpr const char* kKnown = "{topic}, {partition}, {instance} and {consumer_id}";

std::vector<std::string> components(std::string_view path) {
    std::vector<std::string> parts;
    for (size_t at = 0; at <= path.size();) {
        const size_t end = std::min(path.find('/', at), path.size());
        if (const auto part = path.substr(at, end - at); !part.empty() && part != ".") parts.emplace_back(part);
        at = end + 1;
    }
    return parts;
}

std::string join(const std::vector<std::string>& parts) {
    std::string path;
    for (const auto& part : parts) path.append("/").append(part);
    return path;
}

std::string escaped(std::string_view text) {
    constexpr const char* kHex = "0123456789ABCDEF";
    std::string result;
    for (const char c : text) {
        const bool letter_or_digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (letter_or_digit || c == '_' || c == '-' || (c == '.' && !result.empty())) {
            result.push_back(c);
        } else {
            const auto byte = static_cast<unsigned char>(c);
            result.append({'%', kHex[byte >> 4], kHex[byte & 15]});
        }
    }
    return result;
}

// Calls literal(text) and placeholder(name) in order; false where a brace has no partner.
template <class Literal, class Placeholder>
bool walk(std::string_view text, Literal&& literal, Placeholder&& placeholder) {
    while (!text.empty()) {
        const size_t open = text.find('{');
        const auto before = text.substr(0, open);
        if (before.find('}') != std::string_view::npos) return false;
        literal(before);
        if (open == std::string_view::npos) return true;
        const size_t close = text.find('}', open);
        if (close == std::string_view::npos) return false;
        placeholder(text.substr(open + 1, close - open - 1));
        text.remove_prefix(close + 1);
    }
    return true;
}

bool is_known(std::string_view name) {
    return name == "topic" || name == "partition" || name == "instance" || name == "consumer_id";
}

std::optional<std::string> components_problem(std::string_view path_template) {
    const auto parts = components(path_template);
    if (parts.empty() || path_template.ends_with('/')) return "must name a file, not a folder";
    for (const auto& part : parts) {
        if (part == "..") return "must not contain '..', which could lead out of the folders of FILE_SINK_ROOTS; write the path out";
        if (part.size() > kMaxComponentBytes) return "contains a name of more than 255 bytes";
    }
    if (parts.back() == ".") return "must name a file, not a folder";
    if (parts.back().size() > kMaxSinkFileNameBytes) return "the file's name is longer than 215 bytes";
    for (const char* reserved : {".checkpoint", ".checkpoint.new"}) {
        if (parts.back().ends_with(reserved)) return "must not end in .checkpoint: such files keep the positions of sinks";
    }
    return std::nullopt;
}

// Also in capitals: some file systems do not tell them apart.
bool is_reserved(std::string_view name) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return name.size() >= kReservedPrefix.size() &&
           std::equal(kReservedPrefix.begin(), kReservedPrefix.end(), name.begin(), [&](char a, char b) { return a == lower(b); });
}

}  // namespace

std::optional<std::string> path_template_problem(std::string_view path_template) {
    if (path_template.empty()) return "must not be empty";
    if (path_template.front() != '/') return "must be an absolute path: begin with '/', beneath a folder of FILE_SINK_ROOTS";
    for (const char c : path_template) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "must not contain control characters";
    }
    std::string unknown;
    const bool balanced = walk(
        path_template, [](std::string_view) {},
        [&](std::string_view name) {
            if (!is_known(name) && unknown.empty()) unknown = name.empty() ? "{}" : "{" + std::string(name) + "}";
        });
    if (!balanced) return std::string("has an unpaired brace; braces are for the placeholders ") + kKnown;
    if (!unknown.empty()) return "unknown placeholder " + unknown + "; known are " + kKnown;
    return components_problem(path_template);
}

bool has_partition(std::string_view path_template) { return path_template.find("{partition}") != std::string_view::npos; }

std::string expand_path(std::string_view path_template, const PathValues& values) {
    std::string path;
    walk(
        path_template, [&](std::string_view text) { path.append(text); },
        [&](std::string_view name) {
            if (name == "topic") path.append(escaped(values.topic));
            if (name == "instance") path.append(escaped(values.instance));
            if (name == "consumer_id") path.append(escaped(values.consumer_id));
            if (name == "partition") path.append(values.partition ? std::to_string(*values.partition) : "{partition}");
        });
    return join(components(path));
}

std::string RootedPath::relative() const {
    std::string path;
    for (const auto& folder : folders) path.append(folder).append("/");
    return path + file;
}

std::string RootedPath::absolute() const { return (root == "/" ? "" : root) + "/" + relative(); }

std::optional<std::string> RootedPath::reserved_name() const {
    const auto found = std::find_if(folders.begin(), folders.end(), is_reserved);
    if (found != folders.end()) return *found;
    return is_reserved(file) ? std::optional<std::string>(file) : std::nullopt;
}

std::optional<RootedPath> place_beneath(std::string_view path, const std::vector<std::string>& roots) {
    const auto parts = components(path);
    if (std::find(parts.begin(), parts.end(), "..") != parts.end()) return std::nullopt;
    std::optional<RootedPath> best;
    size_t best_depth = 0;
    for (const auto& root : roots) {
        const auto above = components(root);
        const bool contains =
            root.starts_with('/') && above.size() < parts.size() && std::equal(above.begin(), above.end(), parts.begin());
        if (!contains || (best && above.size() < best_depth)) continue;
        best_depth = above.size();
        best.emplace();
        best->root = above.empty() ? "/" : join(above);
        best->folders.assign(parts.begin() + static_cast<std::ptrdiff_t>(above.size()), parts.end() - 1);
        best->file = parts.back();
    }
    return best;
}

}  // namespace fetcher
