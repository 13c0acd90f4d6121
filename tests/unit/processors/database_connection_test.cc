// Connecting to a database that does not answer, or says no: how long it takes, what ends it, and what is told of it.
#include "processors/database_connection.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "database_world.h"
#include "processors/database_dsn.h"

namespace fetcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Takes connections and never says a word.
class BlackHole {
  public:
    BlackHole() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), length), 0);
        EXPECT_EQ(::listen(fd_, 16), 0);
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
        port_ = ntohs(address.sin_port);
    }
    ~BlackHole() { ::close(fd_); }
    std::string url(const std::string& more = "") const { return "postgresql://u:p@127.0.0.1:" + std::to_string(port_) + "/d" + more; }

  private:
    const int fd_;
    int port_ = 0;
};

template <class Call>
seconds time_of(Call&& call) {
    const auto begun = std::chrono::steady_clock::now();
    call();
    return std::chrono::duration_cast<seconds>(std::chrono::steady_clock::now() - begun);
}

TEST(DatabaseConnecting, EndsInTimeWhateverConnectTimeoutSays) {
    BlackHole hole;
    StopSignal never;
    EXPECT_LE(time_of([&] { EXPECT_FALSE(DatabaseConnector(hole.url("?connect_timeout=1"), "", "").connect(never, seconds(600))); }), seconds(4));
    const auto took = time_of([&] {
        const auto failure = DatabaseConnector(hole.url("?connect_timeout=600"), "", "").connect(never, seconds(600));
        ASSERT_FALSE(failure);
        EXPECT_EQ(failure.error().kind, DatabaseFailure::Kind::connection);
    });
    EXPECT_GE(took, seconds(7));
    EXPECT_LE(took, seconds(20));
}

TEST(DatabaseConnecting, OpeningAPartitionEndsWhenThePartitionIsToBeGivenUp) {
    BlackHole hole;
    DatabaseSyncOptions options;
    options.db_dsn = hole.url();
    DatabaseSync sink(options, {"consumer", "group", "topic"}, {});
    RecordingAcks acks;
    sink.bind(acks);
    const auto assignment = make_assignment(0);
    std::thread poll([&] {
        std::this_thread::sleep_for(milliseconds(300));
        assignment->closing = true;
    });
    EXPECT_LE(time_of([&] {
                  const auto opened = sink.open(assignment);
                  ASSERT_FALSE(opened);
                  EXPECT_EQ(opened.error().kind, ErrorKind::transient);
              }),
              seconds(4));
    poll.join();
    EXPECT_LE(time_of([&] { EXPECT_FALSE(sink.open(assignment)); }), seconds(1));  // nor is the next one begun
}

TEST(HiddenValues, AreReplacedWhereverTheyStand) {
    HiddenValues hidden;
    hidden.add("bob", "${secret:U}");
    hidden.add("bobs-db", "${secret:D}");
    hidden.add("", "nothing");
    EXPECT_EQ(hidden.hide("user \"bob\" of bobs-db, bob"), "user \"${secret:U}\" of ${secret:D}, ${secret:U}");
    EXPECT_EQ(HiddenValues().hide("as it is"), "as it is");
}

class DatabaseSecrets : public DatabaseWorld {
  protected:
    void SetUp() override {
        DatabaseWorld::SetUp();
        if (IsSkipped()) return;
        const auto words = DatabaseDsn::parse(url_)->keywords();
        host_ = words.at("host"), port_ = words.at("port"), user_ = words.at("user"), password_ = words.at("password"), database_ = words.at("dbname");
    }
    std::string words_of(const std::string& dsn) {
        StopSignal never;
        const auto made = DatabaseConnector(dsn, "", "").connect(never, seconds(20));
        EXPECT_FALSE(made);
        return made ? "" : made.error().words;
    }
    static void secret(const char* name, const std::string& value) { ::setenv((std::string("FETCHER_SECRET_") + name).c_str(), value.c_str(), 1); }

    std::string host_, port_, user_, password_, database_;
};

TEST_F(DatabaseSecrets, AreNotInErrors) {
    secret("H1_USER", "mallory-the-user");
    secret("H1_DB", "the-hidden-db");
    secret("H1_HOST", "hidden-host.invalid");
    secret("H1_ADDRESS", host_);
    secret("H1_WHOLE", "postgresql://mallory-the-user:hunter2@" + host_ + ":" + port_ + "/the-hidden-db");
    const auto at = "@" + host_ + ":" + port_ + "/";
    const auto shows = [&](const std::string& dsn, const std::string& wanted) {
        const auto words = words_of(dsn);
        for (const char* hidden : {"mallory", "the-hidden-db", "hidden-host", "hunter2"}) EXPECT_EQ(words.find(hidden), std::string::npos) << words;
        EXPECT_NE(words.find(wanted), std::string::npos) << words;
        return words;
    };
    shows("postgresql://${secret:H1_USER}:hunter2" + at + database_, "user \"${secret:H1_USER}\"");
    shows("postgresql://" + user_ + ":" + password_ + at + "${secret:H1_DB}", "database \"${secret:H1_DB}\" does not exist");
    shows("postgresql://u:hunter2@${secret:H1_HOST}/d", "${secret:H1_HOST}");
    EXPECT_EQ(shows("postgresql://u:hunter2@${secret:H1_ADDRESS}:1/d", "${secret:H1_ADDRESS}:1/d").find(host_), std::string::npos);
    EXPECT_EQ(shows("${secret:H1_WHOLE}", "PostgreSQL at ${secret:H1_WHOLE}: ").find(host_), std::string::npos);
}

}  // namespace
}  // namespace fetcher
