// BatchTally: the example of processors/README.md, a whole processor in one file pair. For every batch it appends one line to a file:
// topic, partition, the offset after the batch, and how many records it held.
// Thread: worker
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "processors/registry.h"

namespace fetcher {

class BatchTally final : public Processor {
  public:
    explicit BatchTally(std::string path) : path_(std::move(path)) {}

    void bind(Acks&) override {}  // every batch is durable when write() returns: nothing to acknowledge later
    Result<std::optional<Position>> open(const std::shared_ptr<Assignment>& assignment) override;
    Outcome write(const Batch& batch, size_t first) override;
    void close(const Assignment&) override {}

  private:
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    const std::string path_;
    std::unique_ptr<std::FILE, Close> file_;
};

class BatchTallyType final : public ProcessorType {
  public:
    std::string name() const override { return "batch_tally"; }
    nlohmann::json schema() const override;
    std::vector<ConfigProblem> check(const nlohmann::json& config, const ProcessorOwner& owner,
                                     const ProcessorEnvironment& environment) const override;
    Result<std::unique_ptr<Processor>> make(const nlohmann::json& config, const ProcessorOwner& owner,
                                            const ProcessorEnvironment& environment) const override;
};

}  // namespace fetcher
