#include "processors/database_connector.h"

#include <chrono>
#include <utility>
#include <vector>

#include "engine/host_resolver.h"
#include "processors/database_dsn.h"

namespace fetcher {
namespace {

constexpr std::chrono::seconds kResolveTimeout{8};

// The addresses of a host; link-local ones, to which a name may lead too, are left out.
Result<std::vector<std::string>> addresses_of(const std::string& host) {
    auto addresses = resolve_host(host, std::chrono::steady_clock::now() + kResolveTimeout);
    if (!addresses) return transient("db_dsn: " + addresses.error().reason);
    std::erase_if(*addresses, [](const auto& address) { return !DatabaseDsn::check_values({{"host", address}}, ""); });
    if (addresses->empty()) return fatal("the host " + host + " of db_dsn leads to link-local or metadata addresses only, where no database may be");
    return addresses;
}

}  // namespace

DatabaseConnector::DatabaseConnector(std::string dsn, std::string secrets_dir, std::string certificates_dir)
    : dsn_(std::move(dsn)), secrets_(std::move(secrets_dir)), certificates_dir_(std::move(certificates_dir)) {}

Result<std::map<std::string, std::string>> DatabaseConnector::keywords() const {
    std::string text = dsn_;
    if (SecretSource::is_reference(text)) {
        auto whole = secrets_.resolve(text);
        if (!whole) return tl::unexpected<Error>(std::move(whole.error()));
        text = std::move(*whole);
    }
    const auto dsn = DatabaseDsn::parse(text);
    if (!dsn) return fatal("db_dsn " + dsn.error().reason);
    std::map<std::string, std::string> resolved;
    for (const auto& [keyword, value] : dsn->keywords()) {
        auto text_of = secrets_.resolve(value);
        if (!text_of) return fatal("db_dsn: " + text_of.error().reason);
        resolved[keyword] = std::move(*text_of);
    }
    if (const auto good = DatabaseDsn::check_values(resolved, certificates_dir_); !good) return fatal("db_dsn " + good.error().reason);
    if (const auto file = resolved.find("sslrootcert"); file != resolved.end()) file->second = certificates_dir_ + "/" + file->second;
    return resolved;
}

DatabaseResult<std::unique_ptr<DatabaseConnection>> DatabaseConnector::connect(const StopSignal& stop, std::chrono::seconds silence) const {
    const auto as_failure = [](Error error) {
        const auto kind = error.kind == ErrorKind::transient ? DatabaseFailure::Kind::connection : DatabaseFailure::Kind::fatal;
        return failed({kind, "", std::move(error.reason), 0});
    };
    auto words = keywords();
    if (!words) return as_failure(std::move(words.error()));
    const auto addresses = addresses_of(words->at("host"));
    if (!addresses) return as_failure(addresses.error());
    // host stays, for certificates and messages; libpq connects to hostaddr and asks no resolver again.
    std::string hosts, hostaddrs;
    for (const auto& address : *addresses) {
        hosts += (hosts.empty() ? "" : ",") + words->at("host");
        hostaddrs += (hostaddrs.empty() ? "" : ",") + address;
    }
    (*words)["hostaddr"] = hostaddrs;
    const std::string host = std::exchange((*words)["host"], hosts);
    return DatabaseConnection::open(std::move(*words), host, stop, silence);
}

}  // namespace fetcher
