#include "admin/postgres_store.h"

#include <thread>

#include "admin/consumer_document.h"
#include "admin/postgres_listener.h"
#include "admin/postgres_migrations.h"

namespace fetcher {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kConnectAttempt{3'000};
constexpr milliseconds kPauseAtStart{250};
constexpr milliseconds kMigrationLimit{60'000};

constexpr const char* kSelectAll =
    "SELECT c.consumer_id, c.sequence, r.revision, r.desired, r.document, c.created_at, r.updated_at, r.revised_at "
    "FROM kafka_fetcher.consumers c JOIN kafka_fetcher.consumer_revisions r ON r.consumer_id = c.consumer_id ";
constexpr const char* kNewest = "AND r.revision = c.revision ";
constexpr const char* kList = "AND r.revision = c.revision ORDER BY c.sequence";

// One statement each: whole or not at all, in one round trip.
constexpr const char* kCreate =
    "WITH made AS (INSERT INTO kafka_fetcher.consumers (consumer_id, revision, created_at) VALUES ($1, 1, $2) RETURNING sequence), "
    "kept AS (INSERT INTO kafka_fetcher.consumer_revisions (consumer_id, revision, desired, document, updated_at, revised_at) "
    "SELECT $1, 1, $3, $4, $5, $6 FROM made) "
    "SELECT sequence FROM made";
constexpr const char* kReplace =
    "WITH moved AS (UPDATE kafka_fetcher.consumers SET revision = revision + 1 WHERE consumer_id = $1 AND revision = $2::bigint "
    "RETURNING revision), "
    "kept AS (INSERT INTO kafka_fetcher.consumer_revisions (consumer_id, revision, desired, document, updated_at, revised_at) "
    "SELECT $1, revision, $3, $4, $5, $6 FROM moved), "
    "forgotten AS (DELETE FROM kafka_fetcher.consumer_revisions WHERE consumer_id = $1 AND revision <= (SELECT revision FROM moved) - "
    "$7::bigint) "
    "SELECT (SELECT count(*) FROM moved), (SELECT count(*) FROM kafka_fetcher.consumers WHERE consumer_id = $1)";
constexpr const char* kRemove =
    "WITH gone AS (DELETE FROM kafka_fetcher.consumers WHERE consumer_id = $1 AND ($2::bigint = 0 OR revision = $2::bigint) RETURNING 1) "
    "SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM kafka_fetcher.consumers WHERE consumer_id = $1)";

const char* name_of(Desired desired) { return desired == Desired::running ? "running" : "stopped"; }

StoredConsumer read_row(const PostgresConnection::Row& row) {
    StoredConsumer consumer;
    consumer.consumer_id = row.at(0);
    consumer.sequence = std::stoll(row.at(1));
    consumer.revision = std::stoll(row.at(2));
    consumer.desired = row.at(3) == "running" ? Desired::running : Desired::stopped;
    read_document(row.at(4), consumer);
    consumer.created_at = row.at(5);
    consumer.updated_at = row.at(6);
    consumer.revised_at = row.at(7);
    return consumer;
}

tl::unexpected<StoreError> unavailable(const PostgresFailure& failure) {
    return tl::unexpected<StoreError>(
        StoreError{StoreError::Kind::unavailable, "The PostgreSQL store cannot be used: " + failure.reason + "."});
}

tl::unexpected<StoreError> not_written(const PostgresFailure& failure) {
    auto error = unavailable(failure);
    if (failure.maybe_done)
        error.value().reason += " The change may have been made all the same: look before you repeat it.";
    return error;
}

ConfigStore::Answer<std::vector<StoredConsumer>> read_rows(const PostgresPool::Answer& rows) {
    if (!rows) return unavailable(rows.error());
    std::vector<StoredConsumer> consumers;
    try {
        for (const auto& row : *rows) consumers.push_back(read_row(row));
    } catch (const std::exception& error) {
        return tl::unexpected<StoreError>(
            StoreError{StoreError::Kind::unavailable, std::string("The PostgreSQL store holds what cannot be read: ") + error.what()});
    }
    return consumers;
}

tl::unexpected<Error> cannot_start(const PostgresUrl& url, const std::string& reason) {
    return fatal("DATABASE_URL: cannot use PostgreSQL at " + url.without_password() + ": " + reason);
}

}  // namespace

PostgresStore::~PostgresStore() = default;

Result<std::unique_ptr<PostgresStore>> PostgresStore::open(const PostgresUrl& url, PostgresPool::Limits limits) {
    const auto give_up_at = steady_clock::now() + url.connect_timeout;
    for (;;) {
        const auto attempt_until = std::min(give_up_at, steady_clock::now() + kConnectAttempt);
        const auto connection = PostgresConnection::connect(url, kMigrationLimit, attempt_until);
        if (connection) {
            if (const auto migrated = migrate_postgres(**connection, steady_clock::now() + kMigrationLimit); !migrated)
                return cannot_start(url, migrated.error().reason);
            return std::unique_ptr<PostgresStore>(new PostgresStore(url, limits));
        }
        const auto too_late = steady_clock::now() + 2 * kPauseAtStart >= give_up_at;  // another try could tell of nothing but its own deadline
        if (connection.error().hopeless || too_late)
            return cannot_start(url, connection.error().reason);
        std::this_thread::sleep_for(kPauseAtStart);
    }
}

ConfigStore::Answer<std::vector<StoredConsumer>> PostgresStore::select(const std::string& condition,
                                                                       const std::vector<std::string>& parameters) {
    return read_rows(pool_.read(kSelectAll + condition, parameters));
}

ConfigStore::Answer<std::optional<StoredConsumer>> PostgresStore::select_one(const std::string& condition,
                                                                             const std::vector<std::string>& parameters) {
    auto found = select(condition, parameters);
    if (!found) return tl::unexpected<StoreError>(found.error());
    if (found->empty()) return std::nullopt;
    return std::move(found->front());
}

ConfigStore::Answer<std::vector<StoredConsumer>> PostgresStore::list() { return read_rows(pool_.read_much(std::string(kSelectAll) + kList)); }

ConfigStore::Answer<std::vector<StoredConsumer>> PostgresStore::list_soon() { return select(kList, {}); }

ConfigStore::Answer<std::optional<StoredConsumer>> PostgresStore::find(const std::string& consumer_id) {
    return select_one(std::string(kNewest) + "WHERE c.consumer_id = $1", {consumer_id});
}

ConfigStore::Answer<std::vector<StoredConsumer>> PostgresStore::revisions(const std::string& consumer_id, int64_t before, size_t limit) {
    return select("WHERE c.consumer_id = $1 AND r.revision < $2::bigint ORDER BY r.revision DESC LIMIT $3::bigint",
                  {consumer_id, std::to_string(before), std::to_string(limit)});
}

ConfigStore::Answer<std::optional<StoredConsumer>> PostgresStore::revision(const std::string& consumer_id, int64_t revision) {
    return select_one("WHERE c.consumer_id = $1 AND r.revision = $2::bigint", {consumer_id, std::to_string(revision)});
}

ConfigStore::Answer<StoredConsumer> PostgresStore::create(const StoredConsumer& consumer) {
    StoredConsumer stored = consumer;
    stored.revision = 1;
    const auto rows = pool_.write(kCreate, {stored.consumer_id, stored.created_at, name_of(stored.desired), to_document(stored.spec),
                                            stored.updated_at, stored.revised_at});
    if (!rows) return not_written(rows.error());
    stored.sequence = std::stoll(rows->at(0).at(0));
    return stored;
}

ConfigStore::Answer<StoredConsumer> PostgresStore::replace(const StoredConsumer& next) {
    StoredConsumer stored = next;
    stored.revision = next.revision + 1;
    const auto rows = pool_.write(kReplace, {stored.consumer_id, std::to_string(next.revision), name_of(stored.desired),
                                             to_document(stored.spec), stored.updated_at, stored.revised_at, std::to_string(kRevisionsKept)});
    if (!rows) return not_written(rows.error());
    if (rows->at(0).at(0) == "1") return stored;
    return tl::unexpected<StoreError>(rows->at(0).at(1) == "1" ? changed_meanwhile(stored.consumer_id) : does_not_exist(stored.consumer_id));
}

ConfigStore::Answer<void> PostgresStore::remove(const std::string& consumer_id, std::optional<int64_t> seen) {
    const auto rows = pool_.write(kRemove, {consumer_id, std::to_string(seen.value_or(0))});
    if (!rows) return not_written(rows.error());
    if (rows->at(0).at(0) == "1") return {};
    const bool changed = seen && rows->at(0).at(1) == "1";
    return tl::unexpected<StoreError>(changed ? changed_meanwhile(consumer_id) : does_not_exist(consumer_id));
}

ConfigStore::Answer<std::set<std::string>> PostgresStore::replayed(const std::string& consumer_id, const std::vector<std::string>& letters) {
    std::set<std::string> found;
    if (letters.empty()) return found;
    const auto rows = pool_.read("SELECT letter FROM kafka_fetcher.replayed_dead_letters WHERE consumer_id = $1 AND letter IN "
                                 "(SELECT jsonb_array_elements_text($2::jsonb))",
                                 {consumer_id, nlohmann::json(letters).dump()});
    if (!rows) return unavailable(rows.error());
    for (const auto& row : *rows) found.insert(row.at(0));
    return found;
}

ConfigStore::Answer<void> PostgresStore::mark_replayed(const std::string& consumer_id, const std::string& letter, const std::string& at) {
    const auto rows = pool_.write("INSERT INTO kafka_fetcher.replayed_dead_letters (consumer_id, letter, replayed_at) SELECT $1, $2, $3 "
                                  "FROM kafka_fetcher.consumers WHERE consumer_id = $1 ON CONFLICT DO NOTHING",
                                  {consumer_id, letter, at});
    if (!rows) return not_written(rows.error());
    return {};
}

std::unique_ptr<StoreWatch> PostgresStore::watch(std::function<void()> on_change) {
    return std::make_unique<PostgresListener>(url_, std::move(on_change));
}

ConfigStore::Answer<void> PostgresStore::ping() {
    const auto answer = pool_.read("SELECT 1 FROM kafka_fetcher.schema_version LIMIT 1");
    if (!answer) return unavailable(answer.error());
    return {};
}

}  // namespace fetcher
