#include "admin/postgres_migrations.h"

#include <array>

namespace fetcher {

namespace {

// Migration n brings the tables from version n to n + 1. Never edited once released.
constexpr std::array kMigrations = {
    R"(CREATE TABLE kafka_fetcher.consumers (
           consumer_id text PRIMARY KEY,
           sequence bigint NOT NULL UNIQUE GENERATED ALWAYS AS IDENTITY,
           revision bigint NOT NULL,
           created_at text NOT NULL);
       CREATE TABLE kafka_fetcher.consumer_revisions (
           consumer_id text NOT NULL REFERENCES kafka_fetcher.consumers ON DELETE CASCADE,
           revision bigint NOT NULL,
           desired text NOT NULL CHECK (desired IN ('running', 'stopped')),
           document text NOT NULL,
           updated_at text NOT NULL,
           revised_at text NOT NULL,
           PRIMARY KEY (consumer_id, revision));
       CREATE FUNCTION kafka_fetcher.announce_change() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN
               PERFORM pg_notify('kafka_fetcher_changed', '');
               RETURN NULL;
           END $$;
       CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE ON kafka_fetcher.consumers
           FOR EACH STATEMENT EXECUTE FUNCTION kafka_fetcher.announce_change();)",
    R"(CREATE UNLOGGED TABLE kafka_fetcher.instances (
           instance_id text PRIMARY KEY,
           host text NOT NULL,
           version text NOT NULL,
           started_at text NOT NULL,
           heartbeat_at timestamptz NOT NULL,
           report_version text NOT NULL,
           report text NOT NULL);)",
    R"(CREATE TABLE kafka_fetcher.replayed_dead_letters (
           consumer_id text NOT NULL REFERENCES kafka_fetcher.consumers ON DELETE CASCADE,
           letter text NOT NULL,
           replayed_at text NOT NULL,
           PRIMARY KEY (consumer_id, letter));)",
};

// Of the project's own; held until the transaction ends.
constexpr const char* kLock = "BEGIN; SELECT pg_advisory_xact_lock(7526466502984139879)";

tl::unexpected<PostgresFailure> newer(const std::string& version) {
    return tl::unexpected<PostgresFailure>(
        PostgresFailure{PostgresFailure::Kind::refused,
                        "its tables were written by a newer version of kafka-fetcher (" + version + ", this build knows " +
                            std::to_string(kMigrations.size()) + ")"});
}

}  // namespace

PostgresConnection::Answer<void> migrate_postgres(PostgresConnection& connection, PostgresConnection::Time deadline) {
    for (;;) {
        if (const auto locked = connection.run_script(kLock, deadline); !locked) return locked;
        // The schema may have been made by an administrator for a role that could not.
        const auto known = connection.run("SELECT to_regnamespace('kafka_fetcher') IS NOT NULL", {}, deadline);
        if (!known) return tl::unexpected<PostgresFailure>(known.error());
        const std::string prepare = std::string(known->at(0).at(0) == "t" ? "" : "CREATE SCHEMA kafka_fetcher; ") +
                                    "CREATE TABLE IF NOT EXISTS kafka_fetcher.schema_version (version integer PRIMARY KEY, at timestamptz "
                                    "NOT NULL DEFAULT now())";
        if (const auto prepared = connection.run_script(prepare, deadline); !prepared) return prepared;
        const auto version = connection.run("SELECT coalesce(max(version), 0) FROM kafka_fetcher.schema_version", {}, deadline);
        if (!version) return tl::unexpected<PostgresFailure>(version.error());
        const auto& text = version->at(0).at(0);
        const auto number = std::stoul(text);
        if (number > kMigrations.size()) return newer(text);
        if (number == kMigrations.size()) return connection.run_script("COMMIT", deadline);
        const auto next = std::string(kMigrations[number]) + "\nINSERT INTO kafka_fetcher.schema_version (version) VALUES (" +
                          std::to_string(number + 1) + "); COMMIT";
        if (const auto migrated = connection.run_script(next, deadline); !migrated) return migrated;
    }
}

}  // namespace fetcher
