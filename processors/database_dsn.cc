#include "processors/database_dsn.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "processors/address_rules.h"
#include "processors/secrets.h"

namespace fetcher {
namespace {

constexpr std::array<std::string_view, 9> kAllowed = {"host",    "port",            "dbname",           "user",       "password",
                                                      "sslmode", "connect_timeout", "application_name", "sslrootcert"};
constexpr std::array<std::string_view, 6> kSslModes = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
constexpr const char* kMask = "***";
constexpr const char* kForms = "must be postgresql://user:password@host:port/database (host:port,host:port for several), or keywords as in \"host=… dbname=… user=…\"";

// A keyword with where its value stands in the text, so that it can be masked there.
struct Part {
    std::string keyword;
    std::string value;
    size_t begin = 0;
    size_t end = 0;
};
using Parts = Result<std::vector<Part>>;

std::string allowed_words() {
    std::string words;
    for (const auto name : kAllowed) words.append(words.empty() ? "" : ", ").append(name);
    return words;
}

// Only what libpq knows is repeated: anything else may be a part of a password.
std::string unknown(const std::string& keyword) {
    constexpr std::array<std::string_view, 34> kOthers = {
        "hostaddr", "service", "passfile", "options", "client_encoding", "fallback_application_name", "keepalives", "keepalives_idle",
        "keepalives_interval", "keepalives_count", "tcp_user_timeout", "replication", "gssencmode", "gssdelegation", "krbsrvname", "gsslib",
        "sslcompression", "sslcert", "sslkey", "sslpassword", "sslcertmode", "sslcrl", "sslcrldir", "sslsni", "ssl_min_protocol_version",
        "ssl_max_protocol_version", "sslnegotiation", "requirepeer", "requiressl", "require_auth", "channel_binding", "target_session_attrs",
        "load_balance_hosts", "scram_client_key"};
    const bool known = std::ranges::find(kOthers, keyword) != kOthers.end();
    return known ? "has \"" + keyword + '"' : "has a keyword that PostgreSQL does not know";
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The first of `stops` outside of references; the text's end if there is none.
size_t find_outside(std::string_view text, std::string_view stops, size_t from = 0) {
    for (size_t i = from; i < text.size(); i++) {
        if (const size_t reference = SecretSource::reference_length(text.substr(i)); reference > 0) i += reference - 1;
        else if (stops.find(text[i]) != std::string_view::npos) return i;
    }
    return text.size();
}

std::optional<unsigned char> hex_byte(std::string_view two) {
    unsigned value = 0;
    if (two.size() != 2) return std::nullopt;
    const auto [end, error] = std::from_chars(two.data(), two.data() + 2, value, 16);
    if (error != std::errc() || end != two.data() + 2 || value == 0) return std::nullopt;
    return static_cast<unsigned char>(value);
}

std::optional<std::string> percent_decoded(std::string_view text) {
    std::string decoded;
    for (size_t i = 0; i < text.size(); i++) {
        if (text[i] != '%') {
            decoded += text[i];
            continue;
        }
        const auto byte = hex_byte(text.substr(i + 1, 2));
        if (!byte) return std::nullopt;
        decoded += static_cast<char>(*byte);
        i += 2;
    }
    return decoded;
}

// Reads a URL piece by piece, noting where each value stands.
class UrlReader {
  public:
    explicit UrlReader(std::string_view text) : text_(text) {}

    Parts read() {
        const size_t begin = text_.find("://") + 3;
        const size_t path = find_outside(text_, "/?", begin);
        const size_t at = last_at(begin, path);
        if (at != path) {
            const size_t colon = std::min(find_outside(text_, ":", begin), at);
            take("user", begin, colon);
            if (colon < at) take("password", colon + 1, at);
        }
        read_addresses(at == path ? begin : at + 1, path);
        const size_t query = find_outside(text_, "?", path);
        if (path < query) take("dbname", path + 1, query);
        if (query < text_.size()) read_query(query + 1);
        if (!problem_.empty()) return fatal(problem_);
        return std::move(parts_);
    }

  private:
    // Passwords may hold an unescaped @.
    size_t last_at(size_t begin, size_t end) const {
        size_t last = end;
        for (size_t at = find_outside(text_, "@", begin); at < end; at = find_outside(text_, "@", at + 1)) last = at;
        return last;
    }

    // host:port,host:port as libpq's keywords have it: all hosts in one value, all ports in another.
    void read_addresses(size_t begin, size_t end) {
        Part hosts{"host", "", begin, end}, ports{"port", "", begin, end};
        for (size_t at = begin; at <= end;) {
            const size_t comma = find_outside(text_.substr(0, end), ",", at);
            read_address(at, comma, hosts.value, ports.value);
            at = comma + 1;
            if (at > end) break;
            hosts.value += ',';
            ports.value += ',';
        }
        if (!hosts.value.empty()) parts_.push_back(std::move(hosts));
        if (ports.value.find_first_not_of(',') != std::string::npos) parts_.push_back(std::move(ports));
    }

    void read_address(size_t begin, size_t end, std::string& hosts, std::string& ports) {
        size_t colon = find_outside(text_.substr(0, end), ":", begin);
        if (begin < end && text_[begin] == '[') {
            const size_t bracket = text_.find(']', begin);
            if (bracket == std::string_view::npos || bracket >= end) return refuse("has a [ in its host without a ]");
            if (bracket + 1 < end && text_[bracket + 1] != ':') return refuse("has something between the ] of its host and the port");
            hosts += decoded(begin + 1, bracket);
            colon = bracket + 1;
        } else {
            hosts += decoded(begin, colon);
        }
        if (colon < end) ports += decoded(colon + 1, end);
    }

    void read_query(size_t at) {
        while (at < text_.size()) {
            const size_t end = find_outside(text_, "&", at);
            const size_t equals = find_outside(text_.substr(0, end), "=", at);
            if (equals == end) return refuse("has a parameter without a value after its ?");
            take(std::string(text_.substr(at, equals - at)), equals + 1, end);
            at = end + 1;
        }
    }

    void take(std::string keyword, size_t begin, size_t end) {
        if (begin >= end) return;
        parts_.push_back({std::move(keyword), decoded(begin, end), begin, end});
    }

    std::string decoded(size_t begin, size_t end) {
        auto value = percent_decoded(text_.substr(begin, end - begin));
        if (!value) refuse("has a % that two hexadecimal digits do not follow; write a % of your own as %25");
        return value.value_or("");
    }

    void refuse(const char* why) {
        if (problem_.empty()) problem_ = why;
    }

    const std::string_view text_;
    std::vector<Part> parts_;
    std::string problem_;
};

// keyword=value, keyword = 'a value with spaces and \' in it'
Parts read_keywords(std::string_view text) {
    std::vector<Part> parts;
    size_t i = 0;
    const auto skip_spaces = [&] {
        while (i < text.size() && is_space(text[i])) i++;
    };
    for (skip_spaces(); i < text.size(); skip_spaces()) {
        Part part;
        while (i < text.size() && !is_space(text[i]) && text[i] != '=') part.keyword += text[i++];
        skip_spaces();
        if (i == text.size() || text[i] != '=') return fatal(kForms);
        i++;
        skip_spaces();
        const bool quoted = i < text.size() && text[i] == '\'';
        if (quoted) i++;
        part.begin = i;
        while (i < text.size() && (quoted ? text[i] != '\'' : !is_space(text[i]))) {
            if (text[i] == '\\' && i + 1 < text.size()) i++;
            part.value += text[i++];
        }
        part.end = i;
        if (quoted && i++ >= text.size()) return fatal("has a ' that is not closed");
        parts.push_back(std::move(part));
    }
    return parts;
}

Parts read_parts(std::string_view text) {
    if (text.starts_with("postgresql://") || text.starts_with("postgres://")) {
        auto parts = UrlReader(text).read();
        // A password with a / in it ends what is read as the host, and its rest would pass for the name of a database.
        const auto odd = [](const Part& part) { return part.keyword == "dbname" && part.value.find_first_of("/@") != std::string::npos; };
        if (parts && std::ranges::any_of(*parts, odd)) return fatal("has a / or @ where it names the database; write those of a password as %2F and %40");
        return parts;
    }
    if (text.find("://") != std::string_view::npos) return fatal(kForms);
    return read_keywords(text);
}

// "" if it is not there.
const std::string& value_in(const std::map<std::string, std::string>& keywords, const std::string& keyword) {
    static const std::string kNone;
    const auto found = keywords.find(keyword);
    return found == keywords.end() ? kNone : found->second;
}

std::vector<std::string> items(std::string_view text) {
    std::vector<std::string> found;
    for (size_t at = 0; at <= text.size();) {
        const size_t comma = find_outside(text, ",", at);
        found.emplace_back(text.substr(at, comma - at));
        at = comma + 1;
    }
    return found;
}

bool is_number(std::string_view text, unsigned least, unsigned most) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() && number >= least && number <= most;
}

// Never a place where databases are: the metadata services of clouds live there.
bool is_never_allowed(const std::string& host) {
    const auto address = IpAddress::parse(host);
    return address && AddressRules().objection(host, *address);
}

std::string host_problem(const std::string& host) {
    if (host.empty()) return "names no host";
    if (host.starts_with('/') || host.starts_with('@')) return "names a socket as its host; only TCP is allowed: give a host name or address";
    if (std::ranges::any_of(host, is_space)) return "has a space in a host";
    if (host.find('%') != std::string::npos) return "has a % in its host; an address with a zone is link-local, where no database may be";
    if (is_never_allowed(host)) return "names a link-local or metadata address, where no database may be";
    return {};
}

// Of a list of hosts or ports; what is a reference in it is not known yet. A port may be left out of a list.
std::string problem_of_places(const std::string& keyword, const std::string& value) {
    const auto list = items(value);
    for (const auto& item : list) {
        if (SecretSource::has_reference(item)) continue;
        if (auto problem = keyword == "host" ? host_problem(item) : std::string(); !problem.empty()) return problem;
        const bool left_out = item.empty() && list.size() > 1;
        if (keyword == "port" && !left_out && !is_number(item, 1, 65535)) return "has a port that is no number from 1 to 65535";
    }
    return {};
}

// Of one value without references; "" if it is good.
std::string problem_of(const std::string& keyword, const std::string& value, const std::string& certificates_dir) {
    if (value.find('\0') != std::string::npos) return keyword + " holds a NUL byte";
    if (keyword == "connect_timeout" && !is_number(value, 1, 600)) return "has a connect_timeout that is no number of seconds from 1 to 600";
    if (keyword == "sslmode" && std::ranges::find(kSslModes, value) == kSslModes.end())
        return "has an sslmode that is none of disable, allow, prefer, require, verify-ca, verify-full";
    if (keyword == "sslrootcert") {
        if (certificates_dir.empty()) return "names an sslrootcert, but the server has no CERTIFICATES_DIR to look for it; set that";
        const bool plain = value.find('/') == std::string::npos && !value.starts_with('.');
        if (!plain || !value.ends_with(".pem")) return "must name as sslrootcert a file *.pem that lies in CERTIFICATES_DIR, without a folder";
    }
    if (keyword == "password" && value == kMask) return "has *** for a password, which is how answers show it; give the password, or send db_dsn as it was shown";
    return {};
}

}  // namespace

Result<DatabaseDsn> DatabaseDsn::parse(std::string_view text) {
    auto parts = read_parts(text);
    if (!parts) return tl::unexpected<Error>(std::move(parts.error()));
    DatabaseDsn dsn;
    for (auto& part : *parts) {
        if (std::ranges::find(kAllowed, part.keyword) == kAllowed.end())
            return fatal(unknown(part.keyword) + ", which is not allowed; allowed: " + allowed_words());
        if (!dsn.keywords_.emplace(part.keyword, std::move(part.value)).second) return fatal("has " + part.keyword + " twice");
    }
    if (!dsn.keywords_.contains("host")) return fatal(std::string("names no host; it ") + kForms);
    return dsn;
}

Result<void> DatabaseDsn::check_values(const std::map<std::string, std::string>& keywords, const std::string& certificates_dir) {
    for (const auto& [keyword, value] : keywords) {
        if (keyword == "host" || keyword == "port")
            if (auto problem = problem_of_places(keyword, value); !problem.empty()) return fatal(std::move(problem));
        if (SecretSource::has_reference(value)) continue;
        if (auto problem = problem_of(keyword, value, certificates_dir); !problem.empty()) return fatal(std::move(problem));
    }
    if (const auto host = keywords.find("host"), port = keywords.find("port");
        host != keywords.end() && port != keywords.end() && !SecretSource::has_reference(host->second) && !SecretSource::has_reference(port->second)) {
        const size_t hosts = items(host->second).size(), ports = items(port->second).size();
        if (ports != 1 && ports != hosts) return fatal("has " + std::to_string(ports) + " ports for " + std::to_string(hosts) + " hosts; give one for each, or one for all");
    }
    const auto mode = keywords.find("sslmode");
    if (mode != keywords.end() && mode->second.starts_with("verify") && !keywords.contains("sslrootcert"))
        return fatal("has an sslmode that verifies, which needs sslrootcert, the name of a file *.pem in CERTIFICATES_DIR");
    return {};
}

std::vector<DatabaseDsn::Place> DatabaseDsn::places(const std::map<std::string, std::string>& keywords) {
    const auto ports = items(value_in(keywords, "port"));
    std::vector<Place> found;
    for (auto& host : items(value_in(keywords, "host"))) {
        const auto& port = ports[std::min(found.size(), ports.size() - 1)];
        found.push_back({std::move(host), port.empty() ? "5432" : port});
    }
    return found;
}

std::string DatabaseDsn::Place::text() const { return (host.find(':') == std::string::npos || SecretSource::has_reference(host) ? host : "[" + host + "]") + ":" + port; }

std::string DatabaseDsn::name(const std::vector<Place>& places, const std::map<std::string, std::string>& keywords) {
    std::string where;
    for (const auto& place : places) where += (where.empty() ? "" : ",") + place.text();
    const auto& database = value_in(keywords, "dbname");
    return where + "/" + (database.empty() ? value_in(keywords, "user") : database);
}

const std::string& DatabaseDsn::value(const std::string& keyword) const { return value_in(keywords_, keyword); }

std::string DatabaseDsn::masked(std::string_view text) {
    if (SecretSource::is_reference(text)) return std::string(text);
    const auto parts = read_parts(text);
    if (!parts) return kMask;
    std::string shown(text);
    for (auto part = parts->rbegin(); part != parts->rend(); ++part) {
        // Whatever is no keyword that we know may be a secret too.
        const bool known = std::ranges::find(kAllowed, part->keyword) != kAllowed.end() && part->keyword != "password";
        if (!known && !SecretSource::is_reference(part->value)) shown.replace(part->begin, part->end - part->begin, kMask);
    }
    return shown;
}

}  // namespace fetcher
