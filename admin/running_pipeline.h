// RunningPipeline: what the control plane needs of a Pipeline, so that tests can put another in its place.
// Thread: any
#pragma once

#include <functional>
#include <memory>

#include "admin/consumer.h"
#include "engine/pipeline.h"
#include "engine/result.h"

namespace fetcher {

class RunningPipeline {
  public:
    virtual ~RunningPipeline() = default;
    virtual void start() = 0;
    virtual void request_stop() = 0;
    virtual bool finished() const = 0;
    virtual PipelineSnapshot snapshot() const = 0;
};

// Makes the pipeline of a consumer; does not start it. An error: this consumer cannot run as it is defined.
using PipelineFactory = std::function<Result<std::unique_ptr<RunningPipeline>>(const StoredConsumer&)>;

}  // namespace fetcher
