#include "admin/postgres_url.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

namespace fetcher {

namespace {

constexpr const char* kForm = "must be of the form postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or HOST:PORT,HOST:PORT for several";

tl::unexpected<std::string> wrong(std::string words) { return tl::unexpected<std::string>(std::move(words)); }

template <class Number>
bool parse_number(std::string_view text, Number least, Number most, Number& number) {
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    return code == std::errc() && end == text.data() + text.size() && number >= least && number <= most;
}

// nullopt: a % that is followed by no byte, or a control character.
std::optional<std::string> decoded(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        auto byte = static_cast<unsigned char>(text[i]);
        if (byte == '%') {
            const auto digits = text.substr(i + 1, 2);
            const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
            if (digits.size() != 2 || code != std::errc() || end != digits.data() + 2) return std::nullopt;
            i += 2;
        }
        if (byte < ' ' || byte == 127) return std::nullopt;
        out.push_back(static_cast<char>(byte));
    }
    return out;
}

bool is_host(const std::string& text) {
    return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view(".-_:").find(c) != std::string::npos;
    });
}

// host, host:port, [v6] or [v6]:port. The error, empty if it is good.
std::string take_place(std::string_view text, PostgresUrl& url) {
    std::string_view host = text, port;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return "has a host that begins with [ and does not end with ]";
        host = text.substr(1, end - 1);
        const auto rest = text.substr(end + 1);
        if (!rest.empty() && !rest.starts_with(':')) return kForm;
        port = rest.empty() ? rest : rest.substr(1);
        if (!rest.empty() && port.empty()) return "has an empty port";
    } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
        host = text.substr(0, colon);
        port = text.substr(colon + 1);
        if (port.empty()) return "has an empty port";
    }
    auto& place = url.places.emplace_back(PostgresUrl::Place{std::string(host)});
    if (!is_host(place.host)) return "must name a host: a name or an address, no socket";
    if (!port.empty() && !parse_number<uint16_t>(port, 1, 65535, place.port)) return "has a port that is no number from 1 to 65535";
    return {};
}

// One place, or several with commas between them.
std::string take_places(std::string_view text, PostgresUrl& url) {
    for (;;) {
        const auto comma = std::min(text.find(','), text.size());
        if (auto error = take_place(text.substr(0, comma), url); !error.empty() || comma == text.size()) return error;
        text.remove_prefix(comma + 1);
    }
}

std::string take_user(std::string_view text, PostgresUrl& url) {
    const auto colon = text.find(':');
    const auto user = decoded(text.substr(0, colon));
    const auto password = decoded(colon == std::string_view::npos ? "" : text.substr(colon + 1));
    if (!user || !password)
        return "has a user or password with a control character, or with a % that is followed by no two hex digits (write % as %25)";
    if (user->empty()) return "names no user; it " + std::string(kForm);
    url.user = *user;
    url.password = *password;
    return {};
}

std::string take_parameter(std::string_view name, const std::string& value, PostgresUrl& url) {
    constexpr std::array kModes = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
    if (name == "sslmode") {
        url.sslmode = value;
        const bool known = std::find(kModes.begin(), kModes.end(), value) != kModes.end();
        return known ? "" : "has an sslmode that is none of disable, allow, prefer, require, verify-ca, verify-full";
    }
    if (name == "sslrootcert") {
        url.sslrootcert = value;
        return value.starts_with('/') ? "" : "has an sslrootcert that is no absolute path";
    }
    if (name == "application_name") {
        url.application_name = value;
        return value.empty() || value.size() > 63 ? "has an application_name that is not 1 to 63 characters long" : "";
    }
    if (name == "connect_timeout") {
        int64_t seconds = 0;
        if (!parse_number<int64_t>(value, 1, 300, seconds)) return "has a connect_timeout that is no number of seconds from 1 to 300";
        url.connect_timeout = std::chrono::seconds(seconds);
        return {};
    }
    return "has a parameter that is not known; known: sslmode, sslrootcert, application_name, connect_timeout";
}

std::string take_parameters(std::string_view text, PostgresUrl& url) {
    while (!text.empty()) {
        const auto end = std::min(text.find('&'), text.size());
        const auto item = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const auto equals = std::min(item.find('='), item.size());
        const auto value = decoded(item.substr(std::min(equals + 1, item.size())));
        if (!value) return "has a parameter with a % that is followed by no two hex digits";
        if (auto error = take_parameter(item.substr(0, equals), *value, url); !error.empty()) return error;
    }
    return {};
}

}  // namespace

std::string PostgresUrl::without_password() const {
    std::string where;
    for (const auto& [host, port] : places) {
        const bool v6 = host.find(':') != std::string::npos;
        where += (where.empty() ? "" : ",") + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
    }
    return user + "@" + where + "/" + database;
}

tl::expected<PostgresUrl, std::string> parse_postgres_url(const std::string& text) {
    std::string_view rest = text;
    for (const std::string_view scheme : {"postgresql://", "postgres://"})
        if (rest.starts_with(scheme)) rest.remove_prefix(scheme.size());
    if (rest.size() == text.size() || rest.find('#') != std::string_view::npos) return wrong(kForm);

    PostgresUrl url;
    std::string_view parameters;
    if (const auto question = rest.find('?'); question != std::string_view::npos) {
        parameters = rest.substr(question + 1);
        rest = rest.substr(0, question);
    }
    const auto slash = rest.find('/');
    if (slash == std::string_view::npos) return wrong("names no database; it " + std::string(kForm));
    const auto database = decoded(rest.substr(slash + 1));
    if (!database || database->empty() || database->find('/') != std::string::npos)
        return wrong("names no database; it " + std::string(kForm) + ", with %2F for a / in user or password");
    url.database = *database;
    // The last @: one in a password ought to be written %40, but there is no other way to read it.
    const auto authority = rest.substr(0, slash);
    const auto at = authority.rfind('@');
    if (at == std::string_view::npos) return wrong("names no user; it " + std::string(kForm));
    if (auto error = take_user(authority.substr(0, at), url); !error.empty()) return wrong(error);
    if (auto error = take_places(authority.substr(at + 1), url); !error.empty()) return wrong(error);
    if (auto error = take_parameters(parameters, url); !error.empty()) return wrong(error);
    return url;
}

}  // namespace fetcher
