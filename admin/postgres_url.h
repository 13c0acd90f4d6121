// PostgresUrl: what DATABASE_URL says, taken apart and judged before anything is connected to. libpq never sees the text itself: of the
// many things that it would let a URL do (run on another host's password file, load a service file, set server options) none is wanted.
// Thread: any; values
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace fetcher {

struct PostgresUrl {
    struct Place {
        std::string host;  // a name or an address
        uint16_t port = 5432;
    };
    std::vector<Place> places;  // at least one; in the order in which they are tried
    std::string user;
    std::string password;  // secret; may be empty
    std::string database;
    std::string sslmode = "prefer";
    std::string sslrootcert;  // a file; empty: libpq's default
    std::string application_name = "kafka-fetcher";
    std::chrono::seconds connect_timeout{10};  // how long the start waits for the server

    // For logs and messages: user@host:port,host:port/database.
    std::string without_password() const;
};

// postgresql://user:password@host:port,host:port/database?sslmode=…&sslrootcert=…&application_name=…&connect_timeout=…, with %XX for what a URL
// cannot hold. An error says what is wrong and repeats nothing of the text, which holds a password.
tl::expected<PostgresUrl, std::string> parse_postgres_url(const std::string& text);

}  // namespace fetcher
