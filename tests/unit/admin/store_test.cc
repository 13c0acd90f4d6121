// One suite for every ConfigStore: each is a parameter that makes an empty store, and makes it again over the same data.
#include <SQLiteCpp/SQLiteCpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "admin/postgres_store.h"
#include "admin/sqlite_store.h"
#include "tests/unit/admin/test_database.h"

namespace fetcher {
namespace {

class StoreUnderTest {
  public:
    virtual ~StoreUnderTest() = default;
    virtual std::unique_ptr<ConfigStore> open() = 0;
};

class SqliteUnderTest : public StoreUnderTest {
  public:
    ~SqliteUnderTest() override { std::filesystem::remove_all(folder_); }
    std::unique_ptr<ConfigStore> open() override {
        std::filesystem::create_directories(folder_);
        auto store = SqliteStore::open(folder_ + "/test.db");
        EXPECT_TRUE(store) << store.error().reason;
        return store ? std::move(*store) : nullptr;
    }
    const std::string folder_ = ::testing::TempDir() + "store_test_" + std::to_string(getpid());
};

class PostgresUnderTest : public StoreUnderTest {
  public:
    std::unique_ptr<ConfigStore> open() override {
        // Patient: a busy machine must not look like a database that is away.
        auto store = PostgresStore::open(database_.url(), {.call = std::chrono::seconds(60), .read = std::chrono::seconds(60), .statement = std::chrono::seconds(50)});
        EXPECT_TRUE(store) << store.error().reason;
        return store ? std::move(*store) : nullptr;
    }

  private:
    TestDatabase database_;
};

struct Kind {
    const char* name;
    bool needs_postgres;
    std::unique_ptr<StoreUnderTest> (*make)();
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class StoreTest : public ::testing::TestWithParam<Kind> {
  protected:
    void SetUp() override {
        if (GetParam().needs_postgres && !TestDatabase::available()) GTEST_SKIP() << TestDatabase::kMissing;
        under_test_ = GetParam().make();
        store_ = under_test_->open();
        ASSERT_TRUE(store_);
    }

    static StoredConsumer consumer(const std::string& id) {
        StoredConsumer made;
        made.consumer_id = id;
        made.desired = Desired::running;
        made.spec.broker_ip = "::1";
        made.spec.broker_port = 9092;
        made.spec.topic = "payments";
        made.spec.kafka_properties = {{"sasl.password", "hunter \"2\""}};
        made.spec.consumer_group = "group \"ü\"";
        made.spec.processors = {{"p1", "file_sink", {{"file_path", "/var/log/a.log"}, {"n", 1}}, true, "t1", "t2"}, {"p2", "x", {}, false, "t1", "t1"}};
        made.created_at = "2025-01-01T12:00:00Z";
        made.updated_at = "2025-01-01T12:00:01Z";
        made.revised_at = "2025-01-01T12:00:02Z";
        return made;
    }

    std::unique_ptr<StoreUnderTest> under_test_;
    std::unique_ptr<ConfigStore> store_;
};

TEST_P(StoreTest, NotesWhichDeadLettersWereDeliveredAnewUntilTheConsumerIsGone) {
    const auto one = *store_->create(consumer("one"));
    const auto other = *store_->create(consumer("other"));
    EXPECT_EQ(*store_->replayed(one.consumer_id, {"a", "b"}), std::set<std::string>{});
    for (int twice = 0; twice < 2; twice++) EXPECT_TRUE(store_->mark_replayed(one.consumer_id, "a \"'", "now"));
    EXPECT_TRUE(store_->mark_replayed(one.consumer_id, "b", "now"));
    EXPECT_EQ(*store_->replayed(one.consumer_id, {"a \"'", "b", "c"}), (std::set<std::string>{"a \"'", "b"}));
    EXPECT_EQ(*store_->replayed(one.consumer_id, {}), std::set<std::string>{});
    EXPECT_EQ(*store_->replayed(other.consumer_id, {"b"}), std::set<std::string>{});
    ASSERT_TRUE(store_->remove(one.consumer_id));
    EXPECT_TRUE(store_->mark_replayed(one.consumer_id, "c", "now"));
    EXPECT_EQ(*store_->replayed(one.consumer_id, {"a \"'", "b", "c"}), std::set<std::string>{});
}

TEST_P(StoreTest, IsEmptyAtFirst) {
    EXPECT_TRUE(store_->list()->empty());
    EXPECT_FALSE(*store_->find("a"));
    EXPECT_TRUE(store_->ping());
}

TEST_P(StoreTest, GivesBackWhatItWasGiven) {
    const auto made = consumer("a");
    ASSERT_TRUE(store_->create(made));
    const auto found = *store_->find("a");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->revision, 1);
    EXPECT_EQ(found->desired, Desired::running);
    EXPECT_EQ(found->spec, made.spec);
    EXPECT_EQ(found->created_at, made.created_at);
    EXPECT_EQ(found->updated_at, made.updated_at);
    EXPECT_EQ(found->revised_at, made.revised_at);
}

TEST_P(StoreTest, KeepsEverythingWhenOpenedAgain) {
    ASSERT_TRUE(store_->create(consumer("a")));
    store_.reset();
    store_ = under_test_->open();
    EXPECT_EQ((*store_->find("a"))->spec, consumer("a").spec);
}

TEST_P(StoreTest, ListsInTheOrderOfCreation) {
    for (const auto* id : {"c", "a", "b"}) ASSERT_TRUE(store_->create(consumer(id)));
    const auto listed = *store_->list();
    ASSERT_EQ(listed.size(), 3U);
    EXPECT_EQ(listed[0].consumer_id, "c");
    EXPECT_EQ(listed[2].consumer_id, "b");
    EXPECT_LT(listed[0].sequence, listed[1].sequence);
}

TEST_P(StoreTest, EveryWriteIsANewRevision) {
    auto current = *store_->create(consumer("a"));
    current.desired = Desired::stopped;
    current.spec.topic = "other";
    const auto next = store_->replace(current);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->revision, 2);
    EXPECT_EQ((*store_->find("a"))->revision, 2);
    EXPECT_EQ((*store_->find("a"))->spec.topic, "other");
    EXPECT_EQ((*store_->find("a"))->desired, Desired::stopped);
}

TEST_P(StoreTest, RefusesAWriteBasedOnAnOldRevision) {
    const auto seen = *store_->create(consumer("a"));
    auto mine = seen, theirs = seen;
    theirs.spec.topic = "theirs";
    mine.spec.topic = "mine";
    ASSERT_TRUE(store_->replace(theirs));
    const auto refused = store_->replace(mine);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, StoreError::Kind::conflict);
    EXPECT_EQ((*store_->find("a"))->spec.topic, "theirs");
}

TEST_P(StoreTest, OfConcurrentWritersOneWins) {
    const auto seen = *store_->create(consumer("a"));
    std::atomic<int> won{0};
    std::vector<std::thread> writers;
    for (int i = 0; i < 8; ++i) writers.emplace_back([&] { won += store_->replace(seen) ? 1 : 0; });
    for (auto& writer : writers) writer.join();
    EXPECT_EQ(won, 1);
    EXPECT_EQ((*store_->find("a"))->revision, 2);
}

TEST_P(StoreTest, KnowsNothingOfARemovedConsumer) {
    auto current = *store_->create(consumer("a"));
    ASSERT_TRUE(store_->remove("a"));
    EXPECT_FALSE(*store_->find("a"));
    EXPECT_TRUE(store_->list()->empty());
    EXPECT_EQ(store_->replace(current).error().kind, StoreError::Kind::missing);
    EXPECT_EQ(store_->remove("a").error().kind, StoreError::Kind::missing);
    EXPECT_TRUE(store_->create(consumer("a"))) << "its old revisions are gone too";
}

TEST_P(StoreTest, NeverGivesASequenceTwice) {
    const auto first = *store_->create(consumer("a"));
    ASSERT_TRUE(store_->remove("a"));
    EXPECT_GT(store_->create(consumer("b"))->sequence, first.sequence);
}

TEST_P(StoreTest, RemovesOnlyTheRevisionThatWasSeen) {
    const auto seen = *store_->create(consumer("a"));
    ASSERT_TRUE(store_->replace(seen));
    const auto refused = store_->remove("a", seen.revision);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, StoreError::Kind::conflict);
    EXPECT_TRUE(store_->remove("a", 2));
    EXPECT_EQ(store_->remove("a", 2).error().kind, StoreError::Kind::missing);
}

TEST_P(StoreTest, GivesBackEveryRevisionNewestFirst) {
    auto current = *store_->create(consumer("a"));
    ASSERT_TRUE(store_->create(consumer("b")));
    for (const auto* topic : {"second", "third", "fourth"}) {
        current.spec.topic = topic;
        current.revised_at = topic;
        current = *store_->replace(current);
    }
    const auto all = *store_->revisions("a", INT64_MAX, 100);
    ASSERT_EQ(all.size(), 4U);
    EXPECT_EQ(all[0].spec.topic, "fourth");
    EXPECT_EQ(all[0].revised_at, "fourth");
    EXPECT_EQ(all[3].spec, consumer("a").spec);
    const auto page = *store_->revisions("a", 4, 2);
    ASSERT_EQ(page.size(), 2U);
    EXPECT_EQ(page[0].revision, 3);
    EXPECT_EQ(page[1].revision, 2);
    EXPECT_EQ((*store_->revision("a", 2))->spec.topic, "second");
    EXPECT_FALSE(*store_->revision("a", 5));
    EXPECT_FALSE(*store_->revision("c", 1));
    EXPECT_TRUE(store_->revisions("c", INT64_MAX, 100)->empty());
}

TEST_P(StoreTest, KeepsTheNewestRevisionsOnly) {
    auto current = *store_->create(consumer("a"));
    for (int64_t i = 0; i < ConfigStore::kRevisionsKept + 1; ++i) current = *store_->replace(current);
    EXPECT_EQ(current.revision, ConfigStore::kRevisionsKept + 2);
    const auto kept = *store_->revisions("a", INT64_MAX, 5'000);
    EXPECT_EQ(kept.size(), static_cast<size_t>(ConfigStore::kRevisionsKept));
    EXPECT_EQ(kept.back().revision, 3);
}

INSTANTIATE_TEST_SUITE_P(All, StoreTest,
                         ::testing::Values(Kind{"Sqlite", false,
                                                +[]() -> std::unique_ptr<StoreUnderTest> { return std::make_unique<SqliteUnderTest>(); }},
                                           Kind{"Postgres", true,
                                                +[]() -> std::unique_ptr<StoreUnderTest> { return std::make_unique<PostgresUnderTest>(); }}),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

TEST(SqliteStore, ItsFilesArePrivate) {
    SqliteUnderTest under_test;
    const auto store = under_test.open();
    for (const auto* name : {"/test.db", "/test.db-wal"}) {
        struct stat info{};
        ASSERT_EQ(stat((under_test.folder_ + name).c_str(), &info), 0) << name;
        EXPECT_EQ(info.st_mode & 0777, 0600U) << name;
    }
}

TEST(SqliteStore, ADamagedRowIsUnreadableAndHidesNoOther) {
    SqliteUnderTest under_test;
    auto store = under_test.open();
    for (const auto* id : {"a", "b", "c"}) ASSERT_TRUE(store->create({.consumer_id = id, .spec = {.topic = std::string("topic-") + id}}));
    store.reset();
    {
        std::fstream file(under_test.folder_ + "/test.db", std::ios::in | std::ios::out | std::ios::binary);
        const std::string bytes(std::istreambuf_iterator<char>(file), {});
        const auto at = bytes.find("\"topic-b\"");
        ASSERT_NE(at, std::string::npos);
        file.seekp(static_cast<std::streamoff>(at)) << '!';
    }
    store = under_test.open();
    const auto listed = store->list();
    ASSERT_TRUE(listed) << listed.error().reason;
    ASSERT_EQ(listed->size(), 3U);
    EXPECT_EQ((*listed)[0].unreadable, "");
    EXPECT_NE((*listed)[1].unreadable.find("damaged"), std::string::npos) << (*listed)[1].unreadable;
    EXPECT_EQ((*listed)[2].spec.topic, "topic-c");
    EXPECT_NE((**store->find("b")).unreadable, "");
    EXPECT_TRUE(store->remove("b"));
}

TEST(SqliteStore, TakesOverWhatAnOlderBuildWrote) {
    SqliteUnderTest under_test;
    ASSERT_TRUE(under_test.open()->create({.consumer_id = "a", .spec = {.topic = "kept"}, .updated_at = "then", .revised_at = "now"}));
    {
        SQLite::Database database(under_test.folder_ + "/test.db", SQLite::OPEN_READWRITE);
        database.exec("DROP TABLE replayed_dead_letters; ALTER TABLE consumer_revisions DROP COLUMN revised_at; PRAGMA user_version = 1");
    }
    const auto found = *under_test.open()->find("a");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->spec.topic, "kept");
    EXPECT_EQ(found->revised_at, "then");
}

TEST(SqliteStore, RefusesWhatANewerBuildWrote) {
    SqliteUnderTest under_test;
    ASSERT_TRUE(under_test.open());
    SQLite::Database(under_test.folder_ + "/test.db", SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 1000");
    const auto store = SqliteStore::open(under_test.folder_ + "/test.db");
    ASSERT_FALSE(store);
    EXPECT_NE(store.error().reason.find("newer version"), std::string::npos);
}

TEST(SqliteStore, RefusesWhatIsNoDatabase) {
    const auto store = SqliteStore::open("/proc/nowhere/x.db");
    ASSERT_FALSE(store);
    EXPECT_NE(store.error().reason.find("/proc/nowhere/x.db"), std::string::npos);
}

}  // namespace
}  // namespace fetcher
