#include "processors/registry.h"

#include <algorithm>

#include "processors/database_sync_type.h"
#include "processors/file_sink_type.h"
#include "processors/streaming_forwarder_type.h"

namespace fetcher {

ProcessorRegistry::ProcessorRegistry() {
    add(std::make_unique<FileSinkType>());
    add(std::make_unique<DatabaseSyncType>());
    add(std::make_unique<StreamingForwarderType>());
}

const ProcessorType* ProcessorRegistry::find(const std::string& name) const {
    const auto found = std::find_if(types_.begin(), types_.end(), [&](const auto& type) { return type->name() == name; });
    return found == types_.end() ? nullptr : found->get();
}

void ProcessorRegistry::add(std::unique_ptr<ProcessorType> type) {
    FETCHER_INVARIANT(find(type->name()) == nullptr, "processor types have distinct names");
    types_.push_back(std::move(type));
}

}  // namespace fetcher
