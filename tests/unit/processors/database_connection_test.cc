// Connecting to a database that does not answer, or says no: how long it takes, what ends it, and what is told of it.
#include "processors/database_connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "database_world.h"
#include "loopback.h"
#include "processors/database_dsn.h"

namespace fetcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Takes connections and never says a word.
class BlackHole {
  public:
    ~BlackHole() {
        for (const int taken : taken_) ::close(taken);
        ::close(fd_);
    }
    // How many connections it has taken so far.
    size_t taken() {
        for (int fd = 0; (fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) taken_.push_back(fd);
        return taken_.size();
    }
    std::string url(const std::string& more = "") const { return "postgresql://u:p@127.0.0.1:" + std::to_string(port_) + "/d" + more; }

  private:
    const int fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int port_ = listen_on_loopback(fd_, 16);
    std::vector<int> taken_;
};

// Says no to whoever comes, as a server without this database does.
class RefusingServer {
  public:
    RefusingServer() : thread_([this] { serve(); }) {}
    ~RefusingServer() {
        ::shutdown(fd_, SHUT_RDWR);
        thread_.join();
        ::close(fd_);
    }
    std::string place() const { return "127.0.0.1:" + std::to_string(port_); }

  private:
    void serve() const {
        static constexpr char kAnswer[] = "E\0\0\0\x22SFATAL\0C3D000\0Mno such thing\0";
        for (int fd = 0; (fd = ::accept(fd_, nullptr, nullptr)) >= 0; ::close(fd)) {
            char asked[512];
            if (::recv(fd, asked, sizeof asked, 0) <= 0) continue;
            ::send(fd, kAnswer, sizeof kAnswer, MSG_NOSIGNAL);
            ::shutdown(fd, SHUT_WR);
            while (::recv(fd, asked, sizeof asked, 0) > 0) continue;
        }
    }

    const int fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    const int port_ = listen_on_loopback(fd_);
    std::thread thread_;
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

class DatabaseStalls : public DatabaseWorld {};

TEST_F(DatabaseStalls, OfConnectingMakeNoTransactionSmaller) {
    BlackHole hole;
    const auto folder = std::filesystem::path(testing::TempDir()) / schema_;
    std::filesystem::create_directories(folder);
    const auto point_at = [&](const std::string& url) {
        std::ofstream(folder / "new") << url;
        std::filesystem::rename(folder / "new", folder / "DSN");  // whole at any time
    };
    point_at(url_ + "?application_name=" + schema_);
    const nlohmann::json config{{"db_dsn", "${secret:DSN}"}, {"table", named("messages")}, {"workers", 1}};
    ProcessorEnvironment environment;
    environment.secrets_dir = folder;
    DatabaseSync sink(DatabaseSyncOptions::from(config), {"consumer", "group", "topic", {}}, environment);
    sink.bind(acks_);
    const auto four = make_assignment(4);
    ASSERT_TRUE(sink.open(four));
    write(sink, four, 0, {{"first"}});
    ASSERT_EQ(flush(sink).kind, Outcome::Kind::durable);
    point_at(hole.url("?connect_timeout=1"));
    run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '" + schema_ + "'");
    write(sink, four, 1, std::vector<TestRecord>(1000, {"x"}));
    for (int i = 0; i < 1000 && hole.taken() < 3; i++) std::this_thread::sleep_for(milliseconds(10));
    EXPECT_GE(hole.taken(), 3U);
    point_at(url_);
    for (int i = 0; i < 1000 && flush(sink).kind != Outcome::Kind::durable; i++) std::this_thread::sleep_for(milliseconds(10));
    EXPECT_EQ(one("SELECT count(*), count(DISTINCT xmin::text) FROM " + named("messages") + " WHERE value = 'x'"), "1000|1");
    std::filesystem::remove_all(folder);
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

class DatabasePlaces : public DatabaseSecrets {
  protected:
    DatabaseResult<std::unique_ptr<DatabaseConnection>> connect(const std::string& places) {
        const auto dsn = "postgresql://" + user_ + ":" + password_ + "@" + places + "/" + database_ + "?sslmode=disable";
        return DatabaseConnector(dsn, "", "").connect(never_, seconds(20));
    }
    std::string good() const { return host_ + ":" + port_; }

    RefusingServer refusing_;
    StopSignal never_;
};

TEST_F(DatabasePlaces, TheFirstThatLetsInCountsWhateverIsWrongWithThoseBefore) {
    for (const auto& before : {std::string("127.0.0.1:1"), refusing_.place(), std::string("no-such-host.invalid")}) {
        const auto made = connect(before + "," + good());
        EXPECT_TRUE(made) << before << ": " << made.error().words;
    }
}

TEST_F(DatabasePlaces, OneThatMayComeBackIsWaitedFor) {
    const auto both = connect("127.0.0.1:1," + refusing_.place());
    ASSERT_FALSE(both);
    EXPECT_EQ(both.error().kind, DatabaseFailure::Kind::connection);
    for (const auto* words : {"127.0.0.1:1/", "no such thing"}) EXPECT_NE(both.error().words.find(words), std::string::npos) << both.error().words;
    const auto none = connect(refusing_.place() + "," + refusing_.place());
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind, DatabaseFailure::Kind::fatal) << none.error().words;
}

TEST_F(DatabasePlaces, ReferencesInAListAreShownOneByOne) {
    secret("H1_PLACE", "hidden-host.invalid");
    secret("H1_NUMBER", "6543");
    const auto words = words_of("postgresql://u:p@pg.invalid,${secret:H1_PLACE}:${secret:H1_NUMBER}/pg");
    EXPECT_NE(words.find("pg.invalid"), std::string::npos) << words;
    EXPECT_NE(words.find("${secret:H1_PLACE}"), std::string::npos) << words;
    for (const char* hidden : {"hidden-host", "6543"}) EXPECT_EQ(words.find(hidden), std::string::npos) << words;
}

}  // namespace
}  // namespace fetcher
