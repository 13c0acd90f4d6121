// DatabaseDsn: where a PostgreSQL is and as whom to connect, from postgresql://… or keyword=value text.
//
// libpq never sees the text: it gets keywords, one by one, and only those allowed here. Values may hold ${secret:NAME}, which stays as it
// is until a connection is made. A password is the one thing that is masked.
// Thread: any; immutable
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/result.h"

namespace fetcher {

class DatabaseDsn {
  public:
    // An error says what is wrong and never repeats a value.
    static Result<DatabaseDsn> parse(std::string_view text);
    // The text with its literal passwords replaced by ***. References are shown: they are no secrets.
    static std::string masked(std::string_view text);

    // Judges values once their references are resolved: hosts, numbers, certificates within their folder.
    static Result<void> check_values(const std::map<std::string, std::string>& keywords, const std::string& certificates_dir);

    // Where the keywords say that the database is, in the order in which the places are tried.
    struct Place {
        std::string host;
        std::string port;
        std::string text() const;  // host:port
    };
    static std::vector<Place> places(const std::map<std::string, std::string>& keywords);
    // host:port,host:port/database, with references where the keywords have them.
    static std::string name(const std::vector<Place>& places, const std::map<std::string, std::string>& keywords);

    const std::map<std::string, std::string>& keywords() const { return keywords_; }
    const std::string& value(const std::string& keyword) const;  // "" if it is not there

  private:
    std::map<std::string, std::string> keywords_;
};

}  // namespace fetcher
