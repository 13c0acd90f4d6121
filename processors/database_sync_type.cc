#include "processors/database_sync_type.h"

#include "processors/database_dsn.h"
#include "processors/database_sync.h"

namespace fetcher {

nlohmann::json DatabaseSyncType::schema() const { return DatabaseSyncOptions::json_schema(); }

std::vector<ConfigProblem> DatabaseSyncType::check(const nlohmann::json& config, const ProcessorOwner&,
                                                   const ProcessorEnvironment& environment) const {
    return DatabaseSyncOptions::check(config, environment);
}

nlohmann::json DatabaseSyncType::masked(const nlohmann::json& config) const {
    auto shown = config;
    if (shown.contains("db_dsn") && shown["db_dsn"].is_string()) shown["db_dsn"] = DatabaseDsn::masked(shown["db_dsn"].get<std::string>());
    return shown;
}

// Members of a group share a table, each with partitions of its own. Within one consumer two sinks would share the positions.
std::string DatabaseSyncType::claim(const nlohmann::json& config, const ProcessorOwner& owner, const ProcessorEnvironment&) const {
    return "table " + config.value("table", DatabaseSyncOptions().table) + " at " + DatabaseDsn::masked(config.value("db_dsn", "")) +
           " for consumer " + owner.consumer_id;
}

Result<std::unique_ptr<Processor>> DatabaseSyncType::make(const nlohmann::json& config, const ProcessorOwner& owner,
                                                          const ProcessorEnvironment& environment) const {
    const auto problems = check(config, owner, environment);
    if (!problems.empty()) return fatal(problems.front().pointer.substr(1) + ": " + problems.front().detail);
    return std::make_unique<DatabaseSync>(DatabaseSyncOptions::from(config), owner, environment);
}

}  // namespace fetcher
