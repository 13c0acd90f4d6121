// The tables of the PostgreSQL store, in a schema of their own, and how they come to be.
// Thread: any
#pragma once

#include "admin/postgres_connection.h"

namespace fetcher {

// Brings the tables to this build's version. Several processes may do so at once: they take turns, and the later ones find it done. One
// migration is one transaction. Refuses tables of a newer build.
PostgresConnection::Answer<void> migrate_postgres(PostgresConnection& connection, PostgresConnection::Time deadline);

// The channel on which every change of the tables is announced, without content.
constexpr const char* kPostgresChannel = "kafka_fetcher_changed";

}  // namespace fetcher
