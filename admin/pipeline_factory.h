// The real PipelineFactory: a consumer's definition becomes an engine Pipeline with its processors.
// Thread: any
#pragma once

#include "admin/running_pipeline.h"
#include "engine/memory_budget.h"
#include "processors/registry.h"

namespace fetcher {

// All references outlive the factory and its pipelines.
PipelineFactory make_pipeline_factory(const ProcessorRegistry& registry, const ProcessorEnvironment& environment, MemoryBudget& budget);

}  // namespace fetcher
