// Settings: what the process is told from outside. A flag wins over the environment, the environment over the file .env of the working
// directory. Everything is judged here, once, before anything starts; a wrong value stops the start with a message that names it.
// Thread: main; immutable afterwards
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "admin/postgres_url.h"

namespace fetcher {

struct Settings {
    std::string host = "127.0.0.1";
    uint16_t port = 8000;
    std::string data_dir = "./data";
    std::string kafka_bootstrap_servers = "localhost:9092";
    std::string log_level = "info";            // as spdlog names it
    std::vector<std::string> file_sink_roots;  // absolute
    uint64_t memory_budget_bytes = uint64_t{256} << 20;
    bool pin_threads = true;
    std::string api_token;  // secret; empty: none
    bool allow_unauthenticated = false;
    std::vector<std::string> allowed_hosts;  // host names, without ports
    std::vector<std::string> monitor_bootstrap_servers;
    std::string instance_id;  // empty: the one kept in DATA_DIR
    std::optional<PostgresUrl> database_url;  // holds a secret; nullopt: SQLite in data_dir
    std::string secrets_dir;       // absolute; empty: none
    std::string certificates_dir;  // absolute; empty: none
    std::vector<std::string> forward_allow;  // host names, patterns and networks; empty: anywhere
    bool demo = false;
};

// The process is to end now: --help, --version, or something is wrong.
struct SettingsExit {
    int code = 0;
    std::string text;
};

using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// dotenv: the text of .env, if there is one.
tl::expected<Settings, SettingsExit> load_settings(int argc, const char* const* argv, const Environment& environment,
                                                   const std::optional<std::string>& dotenv);
// With the process's own environment and working directory.
tl::expected<Settings, SettingsExit> load_settings(int argc, const char* const* argv);

}  // namespace fetcher
