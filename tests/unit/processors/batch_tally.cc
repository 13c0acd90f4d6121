#include "batch_tally.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace fetcher {
namespace {

std::string because(int error_number) { return ": " + std::generic_category().message(error_number); }

}  // namespace

// No position: this file cannot tell how far it is after a crash, so a batch may be counted twice. The engine then starts where the
// consumer group has committed.
Result<std::optional<Position>> BatchTally::open(const std::shared_ptr<Assignment>&) {
    if (!file_) file_.reset(std::fopen(path_.c_str(), "ae"));
    if (!file_) return fatal("cannot open " + path_ + because(errno));
    return std::nullopt;
}

Outcome BatchTally::write(const Batch& batch, size_t first) {
    const auto records = batch.size() - first;
    const int written = std::fprintf(file_.get(), "%s %d %lld %zu\n", batch.assignment().topic.c_str(), batch.partition(),
                                     static_cast<long long>(batch.next_offset()), records);
    // Retry: the engine calls again with the same batch, after a while, for as long as it takes.
    if (written < 0 || std::fflush(file_.get()) != 0) return Outcome::retry("cannot write " + path_ + because(errno));
    if (::fdatasync(::fileno(file_.get())) != 0) return Outcome::fatal("cannot sync " + path_ + because(errno));
    return Outcome::durable();
}

nlohmann::json BatchTallyType::schema() const {
    return {{"$schema", "http://json-schema.org/draft-07/schema#"},
            {"type", "object"},
            {"additionalProperties", false},
            {"required", {"path"}},
            {"properties", {{"path", {{"type", "string"}, {"minLength", 1}, {"description", "The file that gets one line per batch."}}}}}};
}

// What the schema cannot say.
std::vector<ConfigProblem> BatchTallyType::check(const nlohmann::json& config, const ProcessorOwner&, const ProcessorEnvironment&) const {
    if (config.at("path").get<std::string>().starts_with('/')) return {};
    return {{"/path", "must be absolute: begin with '/'"}};
}

Result<std::unique_ptr<Processor>> BatchTallyType::make(const nlohmann::json& config, const ProcessorOwner&,
                                                        const ProcessorEnvironment&) const {
    return std::make_unique<BatchTally>(config.at("path").get<std::string>());
}

}  // namespace fetcher
