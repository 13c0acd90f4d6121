#include "admin/sqlite_store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "admin/consumer_document.h"

namespace fetcher {

namespace {

constexpr int kBusyTimeoutMs = 2'000;

// Migration n brings a database from version n to n + 1. Never edited once released.
constexpr std::array kMigrations = {
    R"(CREATE TABLE consumers (
           sequence INTEGER PRIMARY KEY AUTOINCREMENT,
           consumer_id TEXT NOT NULL UNIQUE,
           revision INTEGER NOT NULL,
           created_at TEXT NOT NULL);
       CREATE TABLE consumer_revisions (
           consumer_id TEXT NOT NULL REFERENCES consumers (consumer_id) ON DELETE CASCADE,
           revision INTEGER NOT NULL,
           desired TEXT NOT NULL CHECK (desired IN ('running', 'stopped')),
           document TEXT NOT NULL,
           updated_at TEXT NOT NULL,
           PRIMARY KEY (consumer_id, revision)) WITHOUT ROWID;)",
    R"(ALTER TABLE consumer_revisions ADD COLUMN revised_at TEXT NOT NULL DEFAULT '';
       UPDATE consumer_revisions SET revised_at = updated_at;)",
    R"(CREATE TABLE replayed_dead_letters (
           consumer_id TEXT NOT NULL REFERENCES consumers (consumer_id) ON DELETE CASCADE,
           letter TEXT NOT NULL,
           replayed_at TEXT NOT NULL,
           PRIMARY KEY (consumer_id, letter)) WITHOUT ROWID;)",
};

constexpr const char* kSelectAll =
    "SELECT c.consumer_id, c.sequence, r.revision, r.desired, r.document, c.created_at, r.updated_at, r.revised_at FROM consumers c "
    "JOIN consumer_revisions r ON r.consumer_id = c.consumer_id ";
constexpr const char* kNewest = "AND r.revision = c.revision ";

StoredConsumer read_row(SQLite::Statement& row) {
    StoredConsumer consumer;
    consumer.consumer_id = row.getColumn(0).getString();
    consumer.sequence = row.getColumn(1).getInt64();
    consumer.revision = row.getColumn(2).getInt64();
    consumer.desired = row.getColumn(3).getString() == "running" ? Desired::running : Desired::stopped;
    read_document(row.getColumn(4).getString(), consumer);
    consumer.created_at = row.getColumn(5).getString();
    consumer.updated_at = row.getColumn(6).getString();
    consumer.revised_at = row.getColumn(7).getString();
    return consumer;
}

std::vector<StoredConsumer> read_rows(SQLite::Statement& select) {
    std::vector<StoredConsumer> consumers;
    while (select.executeStep()) consumers.push_back(read_row(select));
    return consumers;
}

}  // namespace

SqliteStore::SqliteStore(std::unique_ptr<SQLite::Database> database) : database_(std::move(database)) {}
SqliteStore::~SqliteStore() = default;

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path) {
    // Made beforehand so that it is private from its first byte; SQLite gives its WAL the same mode.
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return fatal("cannot open " + path + ": " + std::strerror(errno));
    ::close(fd);
    try {
        auto database = std::make_unique<SQLite::Database>(path, SQLite::OPEN_READWRITE, kBusyTimeoutMs);
        database->exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON;");
        std::unique_ptr<SqliteStore> store(new SqliteStore(std::move(database)));
        store->migrate();
        return store;
    } catch (const std::exception& error) {
        return fatal("cannot use " + path + ": " + error.what());
    }
}

void SqliteStore::migrate() {
    SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
    const int version = database_->execAndGet("PRAGMA user_version").getInt();
    const int newest = static_cast<int>(kMigrations.size());
    if (version > newest)
        throw std::runtime_error("it was written by a newer version of kafka-fetcher (" + std::to_string(version) + ", this build knows " +
                                 std::to_string(newest) + ")");
    for (int next = version; next < newest; ++next) database_->exec(kMigrations[static_cast<size_t>(next)]);
    database_->exec("PRAGMA user_version = " + std::to_string(newest));
    transaction.commit();
}

// The one place where the library's exceptions become values.
template <class T, class Work>
ConfigStore::Answer<T> SqliteStore::guarded(Work work) {
    std::lock_guard lock(mutex_);
    try {
        return work();
    } catch (const std::exception& error) {
        return tl::unexpected<StoreError>(
            StoreError{StoreError::Kind::unavailable, std::string("The SQLite store failed: ") + error.what()});
    }
}

void SqliteStore::write_revision(const StoredConsumer& consumer) {
    SQLite::Statement insert(
        *database_,
        "INSERT INTO consumer_revisions (consumer_id, revision, desired, document, updated_at, revised_at) VALUES (?, ?, ?, ?, ?, ?)");
    insert.bind(1, consumer.consumer_id);
    insert.bind(2, consumer.revision);
    insert.bind(3, consumer.desired == Desired::running ? "running" : "stopped");
    insert.bind(4, to_document(consumer.spec));
    insert.bind(5, consumer.updated_at);
    insert.bind(6, consumer.revised_at);
    insert.exec();
}

// Why a write that names a revision found nothing.
tl::unexpected<StoreError> SqliteStore::refusal(const std::string& consumer_id) {
    SQLite::Statement known(*database_, "SELECT 1 FROM consumers WHERE consumer_id = ?");
    known.bind(1, consumer_id);
    return tl::unexpected<StoreError>(known.executeStep() ? changed_meanwhile(consumer_id) : does_not_exist(consumer_id));
}

ConfigStore::Answer<std::vector<StoredConsumer>> SqliteStore::list() {
    return guarded<std::vector<StoredConsumer>>([&]() -> Answer<std::vector<StoredConsumer>> {
        SQLite::Statement select(*database_, std::string(kSelectAll) + kNewest + "ORDER BY c.sequence");
        return read_rows(select);
    });
}

ConfigStore::Answer<std::optional<StoredConsumer>> SqliteStore::find(const std::string& consumer_id) {
    return guarded<std::optional<StoredConsumer>>([&]() -> Answer<std::optional<StoredConsumer>> {
        SQLite::Statement select(*database_, std::string(kSelectAll) + kNewest + "WHERE c.consumer_id = ?");
        select.bind(1, consumer_id);
        if (!select.executeStep()) return std::nullopt;
        return read_row(select);
    });
}

ConfigStore::Answer<StoredConsumer> SqliteStore::create(const StoredConsumer& consumer) {
    return guarded<StoredConsumer>([&]() -> Answer<StoredConsumer> {
        StoredConsumer stored = consumer;
        stored.revision = 1;
        SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
        SQLite::Statement insert(*database_, "INSERT INTO consumers (consumer_id, revision, created_at) VALUES (?, 1, ?)");
        insert.bind(1, stored.consumer_id);
        insert.bind(2, stored.created_at);
        insert.exec();
        stored.sequence = database_->getLastInsertRowid();
        write_revision(stored);
        transaction.commit();
        return stored;
    });
}

ConfigStore::Answer<StoredConsumer> SqliteStore::replace(const StoredConsumer& next) {
    return guarded<StoredConsumer>([&]() -> Answer<StoredConsumer> {
        StoredConsumer stored = next;
        stored.revision = next.revision + 1;
        SQLite::Transaction transaction(*database_, SQLite::TransactionBehavior::IMMEDIATE);
        SQLite::Statement move(*database_, "UPDATE consumers SET revision = ? WHERE consumer_id = ? AND revision = ?");
        move.bind(1, stored.revision);
        move.bind(2, stored.consumer_id);
        move.bind(3, next.revision);
        if (move.exec() == 0) return refusal(stored.consumer_id);
        write_revision(stored);
        SQLite::Statement forget(*database_, "DELETE FROM consumer_revisions WHERE consumer_id = ? AND revision <= ?");
        forget.bind(1, stored.consumer_id);
        forget.bind(2, stored.revision - kRevisionsKept);
        forget.exec();
        transaction.commit();
        return stored;
    });
}

ConfigStore::Answer<void> SqliteStore::remove(const std::string& consumer_id, std::optional<int64_t> seen) {
    return guarded<void>([&]() -> Answer<void> {
        SQLite::Statement remove(*database_, "DELETE FROM consumers WHERE consumer_id = ? AND (? = 0 OR revision = ?)");
        remove.bind(1, consumer_id);
        remove.bind(2, seen ? 1 : 0);
        remove.bind(3, seen.value_or(0));
        if (remove.exec() == 0) return refusal(consumer_id);
        return {};
    });
}

ConfigStore::Answer<std::vector<StoredConsumer>> SqliteStore::revisions(const std::string& consumer_id, int64_t before, size_t limit) {
    return guarded<std::vector<StoredConsumer>>([&]() -> Answer<std::vector<StoredConsumer>> {
        SQLite::Statement select(*database_,
                                 std::string(kSelectAll) + "WHERE c.consumer_id = ? AND r.revision < ? ORDER BY r.revision DESC LIMIT ?");
        select.bind(1, consumer_id);
        select.bind(2, before);
        select.bind(3, static_cast<int64_t>(limit));
        return read_rows(select);
    });
}

ConfigStore::Answer<std::optional<StoredConsumer>> SqliteStore::revision(const std::string& consumer_id, int64_t revision) {
    return guarded<std::optional<StoredConsumer>>([&]() -> Answer<std::optional<StoredConsumer>> {
        SQLite::Statement select(*database_, std::string(kSelectAll) + "WHERE c.consumer_id = ? AND r.revision = ?");
        select.bind(1, consumer_id);
        select.bind(2, revision);
        if (!select.executeStep()) return std::nullopt;
        return read_row(select);
    });
}

ConfigStore::Answer<std::set<std::string>> SqliteStore::replayed(const std::string& consumer_id, const std::vector<std::string>& letters) {
    return guarded<std::set<std::string>>([&]() -> Answer<std::set<std::string>> {
        std::set<std::string> found;
        SQLite::Statement select(*database_, "SELECT 1 FROM replayed_dead_letters WHERE consumer_id = ? AND letter = ?");
        for (const auto& letter : letters) {
            select.bind(1, consumer_id);
            select.bind(2, letter);
            if (select.executeStep()) found.insert(letter);
            select.reset();
        }
        return found;
    });
}

ConfigStore::Answer<void> SqliteStore::mark_replayed(const std::string& consumer_id, const std::string& letter, const std::string& at) {
    return guarded<void>([&]() -> Answer<void> {
        SQLite::Statement insert(*database_,
                                 "INSERT INTO replayed_dead_letters (consumer_id, letter, replayed_at) SELECT ?1, ?2, ?3 "
                                 "WHERE EXISTS (SELECT 1 FROM consumers WHERE consumer_id = ?1) ON CONFLICT DO NOTHING");
        insert.bind(1, consumer_id);
        insert.bind(2, letter);
        insert.bind(3, at);
        insert.exec();
        return {};
    });
}

ConfigStore::Answer<void> SqliteStore::ping() {
    return guarded<void>([&]() -> Answer<void> {
        database_->execAndGet("SELECT count(*) FROM consumers");
        return {};
    });
}

}  // namespace fetcher
