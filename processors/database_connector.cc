#include "processors/database_connector.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <vector>

#include "engine/host_resolver.h"
#include "processors/database_dsn.h"

namespace fetcher {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kLongestConnect{8};
constexpr std::chrono::milliseconds kResolveStep{100};  // how soon a stop ends the wait for the resolver

std::string value_or(const std::map<std::string, std::string>& keywords, const char* keyword, const std::string& standard) {
    const auto found = keywords.find(keyword);
    return found == keywords.end() ? standard : found->second;
}

steady_clock::duration time_to_connect(const std::map<std::string, std::string>& keywords) {
    const int seconds = std::atoi(value_or(keywords, "connect_timeout", "0").c_str());
    return seconds > 0 ? std::min(std::chrono::seconds(seconds), kLongestConnect) : kLongestConnect;
}

// The addresses of a host; link-local ones, to which a name may lead too, are left out.
Result<std::vector<std::string>> addresses_of(const std::string& host, const StopSignal& stop, steady_clock::time_point deadline) {
    Result<std::vector<std::string>> addresses;
    steady_clock::time_point until;
    // Step by step: the question goes on meanwhile, and is asked once.
    do {
        until = std::min(deadline, steady_clock::now() + kResolveStep);
        addresses = resolve_host(host, until);
    } while (!addresses && steady_clock::now() >= until && until < deadline && !stop.stopped());
    if (!addresses) return transient("db_dsn: " + addresses.error().reason);
    std::erase_if(*addresses, [](const auto& address) { return !DatabaseDsn::check_values({{"host", address}}, ""); });
    if (addresses->empty()) return fatal("the host " + host + " of db_dsn leads to link-local or metadata addresses only, where no database may be");
    return addresses;
}

tl::unexpected<DatabaseFailure> as_failure(const Error& error, const HiddenValues& hidden) {
    const auto kind = error.kind == ErrorKind::transient ? DatabaseFailure::Kind::connection : DatabaseFailure::Kind::fatal;
    return failed({kind, "", hidden.hide(error.reason), 0});
}

DatabaseResult<std::unique_ptr<DatabaseConnection>> connect_to(DatabaseTarget target, const StopSignal& stop, std::chrono::seconds silence,
                                                               steady_clock::time_point deadline) {
    const std::string host = target.keywords.at("host");
    const auto addresses = addresses_of(host, stop, deadline);
    if (!addresses) return as_failure(addresses.error(), target.hidden);
    DatabaseResult<std::unique_ptr<DatabaseConnection>> made = failed({});
    const bool host_is_hidden = target.hidden.hide(host) != host;
    auto left = static_cast<int64_t>(addresses->size());
    for (const auto& address : *addresses) {
        // host stays, for certificates and messages; libpq connects to hostaddr and asks no resolver again.
        target.keywords["hostaddr"] = address;
        if (host_is_hidden) target.hidden.add(address, "***");
        made = DatabaseConnection::open(target, stop, silence, share_of(deadline, left--));
        if (made || made.error().kind != DatabaseFailure::Kind::connection) break;
    }
    return made;
}

}  // namespace

DatabaseConnector::DatabaseConnector(std::string dsn, std::string secrets_dir, std::string certificates_dir)
    : dsn_(std::move(dsn)), secrets_(std::move(secrets_dir)), certificates_dir_(std::move(certificates_dir)) {}

Result<std::vector<DatabaseTarget>> DatabaseConnector::targets() const {
    std::string text = dsn_;
    const bool whole = SecretSource::is_reference(text);
    if (whole) {
        auto found = secrets_.resolve(text);
        if (!found) return tl::unexpected<Error>(std::move(found.error()));
        text = std::move(*found);
    }
    const auto dsn = DatabaseDsn::parse(text);
    if (!dsn) return fatal("db_dsn " + dsn.error().reason);
    DatabaseTarget all;
    for (const auto& [keyword, value] : dsn->keywords()) {
        auto resolved = secrets_.resolve(value);
        if (!resolved) return fatal("db_dsn: " + resolved.error().reason);
        const bool is_secret = whole || SecretSource::has_reference(value);
        // The others are words and numbers that say nothing, and stand in many a sentence.
        const bool tells = keyword == "user" || keyword == "dbname" || keyword == "password" || keyword == "application_name";
        if (is_secret && tells) all.hidden.add(*resolved, whole ? "***" : value);
        all.keywords[keyword] = std::move(*resolved);
    }
    if (const auto good = DatabaseDsn::check_values(all.keywords, certificates_dir_); !good) return fatal("db_dsn " + good.error().reason);
    if (const auto file = all.keywords.find("sslrootcert"); file != all.keywords.end()) file->second = certificates_dir_ + "/" + file->second;

    const auto places = DatabaseDsn::places(all.keywords);
    const auto shown = DatabaseDsn::places(dsn->keywords());
    const bool one_by_one = shown.size() == places.size();  // or one reference stands for several hosts
    for (size_t i = 0; i < places.size(); i++) {
        const auto& said = shown[one_by_one ? i : 0].host;
        if (whole || SecretSource::has_reference(said)) all.hidden.add(places[i].host, whole ? "***" : said);
    }
    std::vector<DatabaseTarget> targets;
    for (size_t i = 0; i < places.size(); i++) {
        auto& target = targets.emplace_back(all);
        target.keywords["host"] = places[i].host;
        target.keywords["port"] = places[i].port;
        target.name = whole ? dsn_ : DatabaseDsn::name(one_by_one ? std::vector{shown[i]} : shown, dsn->keywords());
    }
    return targets;
}

DatabaseResult<std::unique_ptr<DatabaseConnection>> DatabaseConnector::connect(const StopSignal& stop, std::chrono::seconds silence) const {
    const auto whom = targets();
    if (!whom) return as_failure(whom.error(), {});
    const auto deadline = steady_clock::now() + time_to_connect(whom->front().keywords);
    std::optional<DatabaseFailure> failure;
    auto left = static_cast<int64_t>(whom->size());
    for (const auto& target : *whom) {
        auto made = connect_to(target, stop, silence, share_of(deadline, left--));
        if (made || made.error().kind == DatabaseFailure::Kind::stopped) return made;
        if (!failure) {
            failure = std::move(made.error());
            continue;
        }
        // Where one of them may be of use later, the consumer waits for it.
        if (failure->kind != made.error().kind) failure->kind = DatabaseFailure::Kind::connection;
        failure->words += "; " + made.error().words;
        failure->sqlstate.clear();
    }
    return failed(std::move(*failure));
}

}  // namespace fetcher
