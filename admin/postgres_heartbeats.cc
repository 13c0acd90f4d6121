#include "admin/postgres_heartbeats.h"

#include <nlohmann/json.hpp>

namespace fetcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr PostgresPool::Limits kLimits{.call = milliseconds(1'000), .statement = milliseconds(800), .pause = milliseconds(500), .connections = 1};
constexpr std::chrono::minutes kClearInterval{1};

constexpr const char* kBeat =
    "WITH beat AS (INSERT INTO kafka_fetcher.instances AS i (instance_id, host, version, started_at, heartbeat_at, report_version, report) "
    "VALUES ($1, $2, $3, $4, clock_timestamp(), $5, $6) "
    "ON CONFLICT (instance_id) DO UPDATE SET host = excluded.host, version = excluded.version, started_at = excluded.started_at, "
    "heartbeat_at = excluded.heartbeat_at, report_version = excluded.report_version, "
    "report = CASE WHEN i.report_version = excluded.report_version THEN i.report ELSE excluded.report END) "
    "SELECT instance_id, host, version, started_at, (extract(epoch FROM clock_timestamp() - heartbeat_at) * 1000)::bigint, report_version, "
    "CASE WHEN $7::jsonb ->> instance_id IS DISTINCT FROM report_version THEN report ELSE '' END "
    "FROM kafka_fetcher.instances WHERE instance_id <> $1 AND heartbeat_at > clock_timestamp() - interval '1 hour' ORDER BY instance_id";

}  // namespace

PostgresHeartbeats::PostgresHeartbeats(PostgresUrl url) : pool_(std::move(url), kLimits) {}

tl::expected<std::vector<HeartbeatStore::Heard>, StoreError> PostgresHeartbeats::beat(const Beat& beat) {
    const auto& self = beat.instance;
    const auto rows = pool_.write(kBeat, {self.instance_id, self.host, self.version, self.started_at, beat.report_version, beat.report,
                                          nlohmann::json(beat.known).dump()});
    if (!rows) return tl::unexpected<StoreError>(StoreError{StoreError::Kind::unavailable, rows.error().reason});
    std::vector<Heard> heard;
    for (const auto& row : *rows)
        heard.push_back({{row.at(0), row.at(1), row.at(2), row.at(3)},
                         milliseconds(std::max(0LL, std::stoll(row.at(4)))),
                         row.at(5),
                         row.at(6)});
    if (const auto now = steady_clock::now(); now >= next_clearing_) {
        next_clearing_ = now + kClearInterval;
        // What fails here is done a minute later.
        (void)pool_.write("DELETE FROM kafka_fetcher.instances WHERE heartbeat_at < clock_timestamp() - interval '1 hour'", {});
    }
    return heard;
}

void PostgresHeartbeats::leave(const std::string& instance_id) {
    (void)pool_.write("DELETE FROM kafka_fetcher.instances WHERE instance_id = $1", {instance_id});
}

}  // namespace fetcher
