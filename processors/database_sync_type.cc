#include "processors/database_sync_type.h"

#include <algorithm>

#include "processors/database_dsn.h"
#include "processors/database_sync.h"
#include "processors/secrets.h"

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

// Members of a group share a table, each with partitions of its own. Within one consumer two sinks would share the positions, however the table
// is written. Where a name without schema leads is the role's search_path; nearly always to public, so that is what it is taken for.
std::string DatabaseSyncType::claim(const nlohmann::json& config, const ProcessorOwner& owner, const ProcessorEnvironment&) const {
    const auto options = DatabaseSyncOptions::from(config);
    std::string where = DatabaseDsn::masked(options.db_dsn);
    if (const auto dsn = DatabaseDsn::parse(options.db_dsn); dsn && !SecretSource::is_reference(options.db_dsn)) {
        auto places = DatabaseDsn::places(dsn->keywords());  // in whatever order they are written
        std::ranges::sort(places, {}, &DatabaseDsn::Place::text);
        const auto repeated = std::ranges::unique(places, {}, &DatabaseDsn::Place::text);
        places.erase(repeated.begin(), repeated.end());
        where = DatabaseDsn::name(places, dsn->keywords());
    }
    return "table " + (options.schema.empty() ? "public" : options.schema) + "." + options.table + " at " + where + " for consumer " + owner.consumer_id;
}

Result<std::unique_ptr<Processor>> DatabaseSyncType::make(const nlohmann::json& config, const ProcessorOwner& owner,
                                                          const ProcessorEnvironment& environment) const {
    const auto problems = check(config, owner, environment);
    if (!problems.empty()) return fatal(problems.front().pointer.substr(1) + ": " + problems.front().detail);
    return std::make_unique<DatabaseSync>(DatabaseSyncOptions::from(config), owner, environment);
}

}  // namespace fetcher
