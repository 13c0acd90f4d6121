// What only the PostgreSQL store promises: nobody waits long, several processes share it, and it is found again when it has been away.
#include "admin/postgres_store.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/host_resolver.h"
#include "tests/unit/admin/test_database.h"

namespace fetcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Takes connections and says nothing, like a server that is frozen.
class SilentServer {
  public:
    SilentServer() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
        EXPECT_EQ(listen(fd_, 64), 0);
        getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
        url_.places = {{"127.0.0.1", ntohs(address.sin_port)}};
        url_.user = url_.database = "u";
        url_.password = "hunter2";
    }
    ~SilentServer() { close(); }
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    // Says this to one client that has asked whether it may encrypt, and leaves.
    void answer_one(const char* what) const {
        const int client = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
        char question[8];
        EXPECT_EQ(recv(client, question, sizeof question, MSG_WAITALL), 8);
        EXPECT_EQ(send(client, what, 1, MSG_NOSIGNAL), 1);
        ::close(client);
    }
    PostgresUrl url_;

  private:
    int fd_;
};

milliseconds since(steady_clock::time_point begin) { return std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin); }

bool within(milliseconds limit, const std::function<bool()>& condition) {
    const auto begin = steady_clock::now();
    while (!condition()) {
        if (since(begin) > limit) return false;
        std::this_thread::sleep_for(milliseconds{5});
    }
    return true;
}

// A busy machine may take longer now and then, but not each time.
bool once_within(milliseconds limit, const std::function<void()>& call) {
    for (int tries = 0; tries < 3; ++tries) {
        const auto begin = steady_clock::now();
        call();
        if (since(begin) < limit) return true;
    }
    return false;
}

// A busy machine must not look like a database that is away.
constexpr PostgresPool::Limits kPatient{.call = std::chrono::seconds(60), .read = std::chrono::seconds(60), .statement = std::chrono::seconds(50)};
constexpr PostgresPool::Limits kShort{milliseconds{400}, milliseconds{400}, milliseconds{300}, milliseconds{300}, 2};

StoredConsumer consumer(const std::string& id) {
    StoredConsumer made;
    made.consumer_id = id;
    return made;
}

TEST(PostgresPool, AServerThatSaysNothingHoldsUpNobodyForLong) {
    SilentServer server;
    EXPECT_TRUE(once_within(milliseconds{1'500}, [&] {
        PostgresPool pool(server.url_, kShort);  // one that knows of no failure yet
        const auto begin = steady_clock::now();
        const auto answer = pool.read("SELECT 1");
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().kind, PostgresFailure::Kind::unreachable);
        EXPECT_EQ(answer.error().reason.find("hunter2"), std::string::npos);
        EXPECT_GE(since(begin), milliseconds{300});
    }));
}

TEST(PostgresPool, APersonWaitsLessThanWhoeverReadsMuch) {
    SilentServer server;
    bool less = false;
    for (int tries = 0; tries < 3 && !less; ++tries) {  // as once_within()
        PostgresPool short_pool(server.url_), long_pool(server.url_);
        const auto begin = steady_clock::now();
        std::thread reads_much([&] { EXPECT_FALSE(long_pool.read_much("SELECT 1")); });
        EXPECT_FALSE(short_pool.read("SELECT 1"));
        const auto short_wait = since(begin);
        reads_much.join();
        less = short_wait * 2 < since(begin);
    }
    EXPECT_TRUE(less);
}

TEST(PostgresPool, ThatAPersonWaitedInVainIsNoSignThatItIsAway) {
    SilentServer server;
    PostgresPool pool(server.url_, {milliseconds{1'500}, milliseconds{100}, milliseconds{1'000}, milliseconds{60'000}, 2});
    EXPECT_FALSE(pool.read("SELECT 1"));
    const auto begin = steady_clock::now();
    EXPECT_FALSE(pool.read_much("SELECT 1"));
    EXPECT_GE(since(begin), milliseconds{1'400}) << "it was let through";
    const auto again = steady_clock::now();
    EXPECT_FALSE(pool.read_much("SELECT 1"));
    EXPECT_LT(since(again), milliseconds{1'400}) << "now it is";
}

TEST(PostgresPool, WhileItIsAwayOneCallerTriesAndTheOthersAreToldAtOnce) {
    SilentServer server;
    PostgresPool pool(server.url_, {milliseconds{2'000}, milliseconds{2'000}, milliseconds{1'000}, milliseconds{0}, 8});
    ASSERT_FALSE(pool.read("SELECT 1"));
    std::atomic<int> waited{0}, told{0};
    std::vector<std::thread> callers;
    for (int i = 0; i < 8; ++i)
        callers.emplace_back([&] {
            const auto begin = steady_clock::now();
            EXPECT_FALSE(pool.read("SELECT 1"));
            ++(since(begin) > milliseconds{1'000} ? waited : told);
        });
    for (auto& caller : callers) caller.join();
    EXPECT_EQ(waited, 1);
    EXPECT_EQ(told, 7);
}

TEST(PostgresStore, AServerThatIsNotThereStopsTheStartInTime) {
    SilentServer server;
    server.url_.connect_timeout = std::chrono::seconds(1);
    for (const bool closed : {false, true}) {
        if (closed) server.close();
        EXPECT_TRUE(once_within(milliseconds{3'000}, [&] {
            const auto store = PostgresStore::open(server.url_);
            ASSERT_FALSE(store);
            EXPECT_NE(store.error().reason.find("DATABASE_URL"), std::string::npos);
            EXPECT_NE(store.error().reason.find("127.0.0.1:" + std::to_string(server.url_.places[0].port)), std::string::npos);
            EXPECT_EQ(store.error().reason.find("hunter2"), std::string::npos);
        }));
    }
}

TEST(PostgresConnection, ReadsNoFileOfTheUsersHome) {
    const std::string home = ::testing::TempDir() + "home_" + std::to_string(getpid());
    std::filesystem::create_directories(home + "/.postgresql");
    std::ofstream(home + "/.postgresql/root.crt") << "no certificate";
    const char* known = std::getenv("HOME");
    const std::string before = known ? known : "/";
    setenv("HOME", home.c_str(), 1);
    SilentServer server;
    server.url_.sslmode = "require";
    std::thread encrypts([&] { server.answer_one("S"); });
    const auto made = PostgresConnection::connect(server.url_, milliseconds{1'000}, steady_clock::now() + std::chrono::seconds(10));
    encrypts.join();
    setenv("HOME", before.c_str(), 1);
    std::filesystem::remove_all(home);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().reason.find("root.crt"), std::string::npos) << made.error().reason;
}

TEST(HostResolver, FindsLocalhostAndSaysWhatItCannotFind) {
    const auto soon = steady_clock::now() + std::chrono::seconds(10);
    ASSERT_TRUE(resolve_host("127.0.0.1", soon));
    EXPECT_EQ(resolve_host("127.0.0.1", soon)->at(0), "127.0.0.1");
    EXPECT_TRUE(resolve_host("localhost", soon));
    const auto nowhere = resolve_host("nowhere.invalid", soon);
    ASSERT_FALSE(nowhere);
    EXPECT_NE(nowhere.error().reason.find("nowhere.invalid"), std::string::npos);
}

class PostgresStoreTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!TestDatabase::available()) GTEST_SKIP() << TestDatabase::kMissing;
        database_ = std::make_unique<TestDatabase>();
    }
    std::unique_ptr<PostgresStore> open(PostgresPool::Limits limits = kPatient) const {
        auto store = PostgresStore::open(database_->url(), limits);
        EXPECT_TRUE(store) << store.error().reason;
        return store ? std::move(*store) : nullptr;
    }
    void cut_all_connections() const {
        database_->admin("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '" + database_->url().database + "'");
    }

    std::unique_ptr<TestDatabase> database_;
};

TEST_F(PostgresStoreTest, AWrongPasswordStopsTheStartAtOnceAndIsNotTold) {
    auto url = database_->url();
    url.password = "hunter2";
    const auto begin = steady_clock::now();
    const auto store = PostgresStore::open(url);
    ASSERT_FALSE(store);
    EXPECT_LT(since(begin), milliseconds{5'000});
    EXPECT_EQ(store.error().reason.find("hunter2"), std::string::npos);
    EXPECT_NE(store.error().reason.find("authentication"), std::string::npos) << store.error().reason;
}

// A server that is set so tells with an error, behind the message, what the statement was given.
TEST_F(PostgresStoreTest, AnErrorTellsNothingOfWhatWasSent) {
    auto connection = PostgresConnection::connect(database_->url(), std::chrono::seconds(20), TestDatabase::soon());
    ASSERT_TRUE(connection);
    ASSERT_TRUE((*connection)->run_script("SET log_parameter_max_length_on_error = -1", TestDatabase::soon()));
    const auto failed = (*connection)->run("SELECT 1 / (length($1) - length($1))", {"hunter2"}, TestDatabase::soon());
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().reason.find("division by zero"), std::string::npos) << failed.error().reason;
    EXPECT_EQ(failed.error().reason.find("hunter2"), std::string::npos) << failed.error().reason;
}

TEST_F(PostgresStoreTest, ManyMayStartAtOnceOnAnEmptyDatabase) {
    std::atomic<int> opened{0};
    std::vector<std::thread> starters;
    for (int i = 0; i < 6; ++i)
        starters.emplace_back([&] {
            const auto store = open();
            if (store && store->create(consumer("c" + std::to_string(++opened)))) return;
            ADD_FAILURE();
        });
    for (auto& starter : starters) starter.join();
    EXPECT_EQ(open()->list()->size(), 6U);
    EXPECT_EQ(database_->run("SELECT count(*) - max(version) FROM kafka_fetcher.schema_version").at(0).at(0), "0");
}

TEST_F(PostgresStoreTest, RefusesTablesOfANewerBuild) {
    ASSERT_TRUE(open());
    database_->run("INSERT INTO kafka_fetcher.schema_version (version) VALUES (1000)");
    const auto store = PostgresStore::open(database_->url());
    ASSERT_FALSE(store);
    EXPECT_NE(store.error().reason.find("newer version"), std::string::npos);
}

TEST_F(PostgresStoreTest, TwoStoresAreOne) {
    const auto here = open(), there = open();
    const auto seen = *here->create(consumer("a"));
    ASSERT_TRUE(there->replace(seen));
    EXPECT_EQ(here->replace(seen).error().kind, StoreError::Kind::conflict);
    ASSERT_TRUE(here->remove("a"));
    EXPECT_TRUE(there->list()->empty());
}

TEST_F(PostgresStoreTest, ADamagedRowIsUnreadableAndHidesNoOther) {
    const auto store = open();
    for (const auto* id : {"a", "b", "c"}) ASSERT_TRUE(store->create(consumer(id)));
    database_->run("UPDATE kafka_fetcher.consumer_revisions SET document = '{' WHERE consumer_id = 'b'");
    const auto listed = *store->list();
    ASSERT_EQ(listed.size(), 3U);
    EXPECT_EQ(listed[0].unreadable, "");
    EXPECT_NE(listed[1].unreadable.find("damaged"), std::string::npos);
    EXPECT_EQ(listed[2].unreadable, "");
}

TEST_F(PostgresStoreTest, ConnectionsThatWereCutAreMadeAgainUnnoticed) {
    const auto store = open();
    for (int round = 0; round < 3; ++round) {
        ASSERT_TRUE(store->list());
        cut_all_connections();
        EXPECT_TRUE(store->create(consumer("c" + std::to_string(round))));
        cut_all_connections();
        EXPECT_EQ(store->list()->size(), static_cast<size_t>(round + 1));
    }
}

TEST_F(PostgresStoreTest, ARowThatIsLockedHoldsUpNobodyForLong) {
    const auto patient = open();
    // Without a pause each try asks the server, and is not told at once that it is away.
    const auto store = open({milliseconds{2'000}, milliseconds{2'000}, milliseconds{300}, milliseconds{0}, 2});
    const auto seen = *patient->create(consumer("a"));
    const auto locker = PostgresConnection::connect(database_->url(), std::chrono::seconds(20), TestDatabase::soon());
    ASSERT_TRUE((*locker)->run_script("BEGIN; UPDATE kafka_fetcher.consumers SET revision = revision", TestDatabase::soon()));
    EXPECT_TRUE(once_within(milliseconds{1'500}, [&] {
        const auto refused = store->replace(seen);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, StoreError::Kind::unavailable);
    }));
    ASSERT_TRUE((*locker)->run_script("ROLLBACK", TestDatabase::soon()));
    EXPECT_TRUE(patient->replace(seen)) << "what was given up has not been done";
}

TEST_F(PostgresStoreTest, ChangesOfOthersAreReported) {
    const auto here = open(), there = open();
    std::atomic<int> reports{0};
    const auto watch = here->watch([&] { ++reports; });
    ASSERT_TRUE(within(milliseconds{20'000}, [&] { return reports == 1; })) << "once it listens";
    auto seen = *there->create(consumer("a"));
    EXPECT_TRUE(within(milliseconds{4'000}, [&] { return reports == 2; }));
    ASSERT_TRUE(there->replace(seen));
    EXPECT_TRUE(within(milliseconds{4'000}, [&] { return reports == 3; }));
    ASSERT_TRUE(there->remove("a"));
    EXPECT_TRUE(within(milliseconds{4'000}, [&] { return reports == 4; }));
}

TEST_F(PostgresStoreTest, AWatchThatWasCutOffReportsThatItIsBack) {
    const auto store = open();
    std::atomic<int> reports{0};
    const auto watch = store->watch([&] { ++reports; });
    ASSERT_TRUE(within(milliseconds{20'000}, [&] { return reports == 1; }));
    cut_all_connections();
    EXPECT_TRUE(within(milliseconds{20'000}, [&] { return reports == 2; }));
}

}  // namespace
}  // namespace fetcher
