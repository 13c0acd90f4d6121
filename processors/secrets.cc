#include "processors/secrets.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace fetcher {
namespace {

constexpr std::string_view kBegin = "${secret:";
constexpr size_t kMaxNameBytes = 128;
constexpr size_t kMaxSecretBytes = size_t{64} << 10;
constexpr const char* kEnvironmentPrefix = "FETCHER_SECRET_";

bool is_name_byte(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

std::string capitals(std::string name) {
    std::ranges::transform(name, name.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return name;
}

// nullopt: there is no such file. The name holds neither slash nor dot, so it cannot lead out of the folder.
Result<std::optional<std::string>> read_secret(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) return std::nullopt;
    if (fd < 0) return fatal("the secret's file " + path + " cannot be read: " + std::strerror(errno));
    std::string text(kMaxSecretBytes + 1, '\0');
    size_t size = 0;
    ssize_t n = 0;
    while (size < text.size() && (n = ::read(fd, text.data() + size, text.size() - size)) > 0) size += static_cast<size_t>(n);
    const int error = errno;
    ::close(fd);
    if (n < 0) return fatal("the secret's file " + path + " cannot be read: " + std::strerror(error));
    if (size > kMaxSecretBytes) return fatal("the secret's file " + path + " is larger than 64 KiB");
    text.resize(size);
    if (text.ends_with('\n')) text.pop_back();
    if (text.ends_with('\r')) text.pop_back();
    return text;
}

}  // namespace

size_t SecretSource::reference_length(std::string_view text) {
    if (!text.starts_with(kBegin)) return 0;
    const size_t end = text.find('}', kBegin.size());
    if (end == std::string_view::npos) return 0;
    const auto name = text.substr(kBegin.size(), end - kBegin.size());
    if (name.empty() || name.size() > kMaxNameBytes || !std::ranges::all_of(name, is_name_byte)) return 0;
    return end + 1;
}

bool SecretSource::has_reference(std::string_view text) {
    for (size_t at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin, at + 1))
        if (reference_length(text.substr(at)) > 0) return true;
    return false;
}

Result<std::string> SecretSource::resolve(std::string_view text, std::vector<std::string>* looked_up) const {
    std::string resolved;
    while (!text.empty()) {
        const size_t begin = text.find(kBegin);
        resolved += text.substr(0, begin);
        if (begin == std::string_view::npos) break;
        text.remove_prefix(begin);
        const size_t length = reference_length(text);
        if (length == 0) return fatal("a reference must read ${secret:NAME}, the name of letters, digits and underscores");
        auto value = look_up(std::string(text.substr(kBegin.size(), length - kBegin.size() - 1)));
        if (!value) return value;
        resolved += *value;
        if (looked_up) looked_up->push_back(std::move(*value));
        text.remove_prefix(length);
    }
    return resolved;
}

Result<std::string> SecretSource::look_up(const std::string& name) const {
    if (!folder_.empty()) {
        auto found = read_secret(folder_ + "/" + name);
        if (!found) return tl::unexpected<Error>(std::move(found.error()));
        if (*found) return std::move(**found);
    }
    const std::string variable = kEnvironmentPrefix + capitals(name);
    if (const char* value = std::getenv(variable.c_str())) return std::string(value);
    return fatal("the secret " + name + " is not known: neither " +
                 (folder_.empty() ? "is SECRETS_DIR set" : "is there a file " + folder_ + "/" + name) + " nor the variable " + variable);
}

void HiddenValues::add(const std::string& value, std::string shown) {
    if (value.empty()) return;
    const auto at = std::ranges::find_if(values_, [&](const auto& one) { return one.first.size() < value.size(); });
    values_.insert(at, {value, std::move(shown)});
}

std::string HiddenValues::hide(std::string text) const {
    std::string out;
    for (size_t i = 0; i < text.size();) {
        const auto found = std::ranges::find_if(values_, [&](const auto& one) { return text.compare(i, one.first.size(), one.first) == 0; });
        if (found == values_.end()) {
            out += text[i++];
        } else {
            out += found->second;
            i += found->first.size();
        }
    }
    return out;
}

}  // namespace fetcher
