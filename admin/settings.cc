#include "admin/settings.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "admin/setting_values.h"

namespace fetcher {

namespace {

// Puts a parsed value where it belongs; the error of a malformed one, empty if it is good.
template <class T>
std::string put(Parsed<T> parsed, T& target) {
    if (!parsed) return parsed.error();
    target = std::move(*parsed);
    return {};
}

struct Setting {
    const char* name;  // of the environment; the flag is derived from it
    const char* placeholder;
    const char* help;
    std::string (*apply)(const std::string& text, Settings& settings);
};

const std::array kSettings = {
    Setting{"HOST", "ADDRESS", "address to listen on (default 127.0.0.1 without API_TOKEN, 0.0.0.0 with it)",
            [](const std::string& text, Settings& s) { return put(parse_host(text), s.host); }},
    Setting{"PORT", "NUMBER", "port to listen on (default 8000)",
            [](const std::string& text, Settings& s) { return put(parse_port(text), s.port); }},
    Setting{"DATA_DIR", "FOLDER", "where the process keeps its state (default ./data)",
            [](const std::string& text, Settings& s) {
                s.data_dir = text;
                return std::string(text.empty() ? "must name a folder" : "");
            }},
    Setting{"KAFKA_BOOTSTRAP_SERVERS", "SERVERS", "default cluster of the monitoring routes (default localhost:9092)",
            [](const std::string& text, Settings& s) { return put(parse_servers(text), s.kafka_bootstrap_servers); }},
    Setting{"LOG_LEVEL", "LEVEL", "TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL or OFF (default INFO)",
            [](const std::string& text, Settings& s) { return put(parse_log_level(text), s.log_level); }},
    Setting{"FILE_SINK_ROOTS", "FOLDERS", "colon-separated folders where file sinks may write (default DATA_DIR:/var/log)",
            [](const std::string& text, Settings& s) { return put(parse_roots(text), s.file_sink_roots); }},
    Setting{"MEMORY_BUDGET", "BYTES", "bytes in flight over all consumers; KiB, MiB and GiB are understood (default 256MiB)",
            [](const std::string& text, Settings& s) { return put(parse_bytes(text), s.memory_budget_bytes); }},
    Setting{"PIN_THREADS", "BOOL", "pin poll threads and the forwarders' senders to a core each (default true)",
            [](const std::string& text, Settings& s) { return put(parse_bool(text), s.pin_threads); }},
    Setting{"API_TOKEN", "TOKEN", "bearer token that every request must carry, but for health",
            [](const std::string& text, Settings& s) { return put(parse_token(text), s.api_token); }},
    Setting{"ALLOW_UNAUTHENTICATED", "BOOL", "listen beyond loopback without API_TOKEN all the same (default false)",
            [](const std::string& text, Settings& s) { return put(parse_bool(text), s.allow_unauthenticated); }},
    Setting{"ALLOWED_HOSTS", "HOSTS",
            "comma-separated host names by which clients may address the server, besides localhost, and whose pages may call it",
            [](const std::string& text, Settings& s) { return put(parse_hosts(text), s.allowed_hosts); }},
    Setting{"MONITOR_BOOTSTRAP_SERVERS", "SERVERS", "further clusters that the monitoring routes may ask, comma-separated",
            [](const std::string& text, Settings& s) {
                std::string servers;
                if (auto error = put(parse_servers(text), servers); !error.empty()) return error;
                return put(parse_list(servers), s.monitor_bootstrap_servers);
            }},
    Setting{"INSTANCE_ID", "NAME", "names this process among its replicas (default: made once, kept in DATA_DIR)",
            [](const std::string& text, Settings& s) { return put(parse_instance_id(text), s.instance_id); }},
    Setting{"SECRETS_DIR", "FOLDER", "folder whose files are what ${secret:NAME} in options stands for (default none)",
            [](const std::string& text, Settings& s) { return put(parse_folder(text), s.secrets_dir); }},
    Setting{"CERTIFICATES_DIR", "FOLDER", "folder of the certificates, *.pem, that options may name (default none)",
            [](const std::string& text, Settings& s) { return put(parse_folder(text), s.certificates_dir); }},
    Setting{"FORWARD_ALLOW", "HOSTS", "comma-separated host names, patterns (*.example.com) and networks (10.0.0.0/8) to which forwarders may send "
                                      "(default anywhere but link-local and metadata addresses)",
            [](const std::string& text, Settings& s) { return put(parse_forward_allow(text), s.forward_allow); }},
    Setting{"DATABASE_URL", "URL", "PostgreSQL that holds the configuration of all replicas (default: SQLite in DATA_DIR)",
            [](const std::string& text, Settings& s) {
                PostgresUrl url;
                auto error = put(parse_postgres_url(text), url);
                s.database_url = std::move(url);
                return error;
            }},
};

std::string flag_of(const std::string& name) {
    std::string flag = "--";
    for (const char c : name) flag += c == '_' ? '-' : static_cast<char>(c + 32);
    return flag;
}

tl::unexpected<SettingsExit> stop(const std::string& words) {
    return tl::unexpected<SettingsExit>(SettingsExit{2, "kafka-fetcher: " + words + ".\n"});
}

using Texts = std::map<std::string, std::string>;

// Reads the command line into texts; ends the process for --help, --version and what is not known.
tl::expected<Texts, SettingsExit> parse_flags(int argc, const char* const* argv, Settings& settings) {
    CLI::App app("Moves Kafka topics into files, each record once, managed over a REST API.", "kafka-fetcher");
    app.set_version_flag("--version", "kafka-fetcher " FETCHER_VERSION);
    app.footer(
        "Each option can also be given in the environment or in the file .env of the working directory, under the name in brackets.\n"
        "A flag wins over the environment, the environment over the file. Give API_TOKEN and DATABASE_URL in one of these rather\n"
        "than as a flag: other users of the machine can see flags.");
    Texts given;
    for (const auto& setting : kSettings)
        app.add_option(flag_of(setting.name), given[setting.name], std::string(setting.help) + " [" + setting.name + "]")
            ->type_name(setting.placeholder);
    app.add_flag("--demo", settings.demo,
                 "run with a broker inside the process, generated records and one consumer that writes them to a file; its folder is "
                 "DATA_DIR/demo, everything in which is deleted at each start");
    app.get_formatter()->column_width(44);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::ostringstream out, err;
        const int code = app.exit(error, out, err);
        if (code == 0) return tl::unexpected<SettingsExit>(SettingsExit{0, out.str()});
        return tl::unexpected<SettingsExit>(
            SettingsExit{2, std::string("kafka-fetcher: ") + error.what() + "\nkafka-fetcher --help shows the options.\n"});
    }
    Texts set;
    for (const auto& setting : kSettings)
        if (app.count(flag_of(setting.name)) > 0) set[setting.name] = given[setting.name];
    return set;
}

// What depends on more than one setting.
tl::expected<Settings, SettingsExit> completed(Settings settings, bool host_given, bool roots_given) {
    const bool open = settings.api_token.empty();
    if (!host_given) settings.host = open ? "127.0.0.1" : "0.0.0.0";
    if (open && !is_loopback(settings.host) && !settings.allow_unauthenticated)
        return stop("HOST " + settings.host +
                    " can be reached from other machines, and no API_TOKEN is set. Set API_TOKEN, or leave HOST at "
                    "127.0.0.1, or insist with ALLOW_UNAUTHENTICATED=true");
    if (settings.demo) {
        settings.data_dir += "/demo";
        settings.database_url.reset();  // nothing of it is to outlive it, least of all where others would run it
    }
    // Never by way of the text of FILE_SINK_ROOTS, where a colon in DATA_DIR would make two roots of one.
    const auto data_dir = absolute_folder(settings.data_dir);
    if (!roots_given) settings.file_sink_roots = {data_dir, "/var/log"};
    else if (settings.demo) settings.file_sink_roots.push_back(data_dir);  // where its consumer writes
    return settings;
}

}  // namespace

tl::expected<Settings, SettingsExit> load_settings(int argc, const char* const* argv, const Environment& environment,
                                                   const std::optional<std::string>& dotenv) {
    Settings settings;
    const auto flags = parse_flags(argc, argv, settings);
    if (!flags) return tl::unexpected<SettingsExit>(flags.error());

    const auto file = parse_dotenv(dotenv.value_or(""));
    if (!file) return stop(file.error());
    for (const auto& [name, unused] : *file) {
        const bool known = std::any_of(kSettings.begin(), kSettings.end(), [&](const Setting& setting) { return name == setting.name; });
        if (!known) return stop("the file .env sets " + name + ", which is not known; kafka-fetcher --help shows the options");
    }

    bool host_given = false, roots_given = false;
    for (const auto& setting : kSettings) {
        const std::string name = setting.name;
        std::string origin, text;
        if (const auto flag = flags->find(name); flag != flags->end()) origin = flag_of(name) + " (" + name + ")", text = flag->second;
        else if (const auto variable = environment(name)) origin = name, text = *variable;
        else if (const auto line = file->find(name); line != file->end()) origin = name + " (in .env)", text = line->second;
        else continue;
        // The value is not repeated: it may be a secret in the wrong place.
        if (const auto error = setting.apply(text, settings); !error.empty()) return stop(origin + " " + error);
        host_given |= name == "HOST";
        roots_given |= name == "FILE_SINK_ROOTS";
    }
    return completed(std::move(settings), host_given, roots_given);
}

tl::expected<Settings, SettingsExit> load_settings(int argc, const char* const* argv) {
    std::optional<std::string> dotenv;
    if (std::ifstream file(".env"); file) dotenv = std::string(std::istreambuf_iterator<char>(file), {});
    const auto environment = [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        return value ? std::optional<std::string>(value) : std::nullopt;
    };
    return load_settings(argc, argv, environment, dotenv);
}

}  // namespace fetcher
