#include "admin/replica_board.h"

#include <gtest/gtest.h>

#include "admin/report_json.h"

namespace fetcher {
namespace {

using namespace std::chrono_literals;

// What the processes share.
struct SharedTable {
    std::mutex mutex;
    std::map<std::string, HeartbeatStore::Heard> rows;
    bool away = false;
    std::chrono::milliseconds silent{0};  // everybody
    int reports_sent = 0;
};

class FakeHeartbeats : public HeartbeatStore {
  public:
    explicit FakeHeartbeats(SharedTable& table) : table_(table) {}
    tl::expected<std::vector<Heard>, StoreError> beat(const Beat& beat) override {
        std::lock_guard lock(table_.mutex);
        if (table_.away) return tl::unexpected<StoreError>(StoreError{StoreError::Kind::unavailable, "away"});
        table_.rows[beat.instance.instance_id] = {beat.instance, 0ms, beat.report_version, beat.report};
        std::vector<Heard> heard;
        for (auto [id, row] : table_.rows) {
            if (id == beat.instance.instance_id) continue;
            const auto known = beat.known.find(id);
            if (known != beat.known.end() && known->second == row.report_version) row.report.clear();
            else ++table_.reports_sent;
            row.silent_for = std::max(row.silent_for, table_.silent);
            heard.push_back(std::move(row));
        }
        return heard;
    }
    void leave(const std::string& instance_id) override {
        std::lock_guard lock(table_.mutex);
        table_.rows.erase(instance_id);
    }

  private:
    SharedTable& table_;
};

ConsumerReports at_revision(int64_t revision) {
    ConsumerReport report;
    report.applied_revision = revision;
    return {{"c", report}};
}

class ReplicaBoardTest : public ::testing::Test {
  protected:
    std::unique_ptr<ReplicaBoard> board(const std::string& name, std::function<ConsumerReports()> reports) {
        return std::make_unique<ReplicaBoard>(Instance{name, "host", "1", "2026-01-01T00:00:00Z"}, std::make_unique<FakeHeartbeats>(table_),
                                              std::move(reports));
    }
    static bool wait_for(const std::function<bool()>& done) {
        const auto until = std::chrono::steady_clock::now() + 20s;
        while (!done()) {
            if (std::chrono::steady_clock::now() > until) return false;
            std::this_thread::sleep_for(5ms);
        }
        return true;
    }

    SharedTable table_;
    std::atomic<int64_t> revision_{1};
};

TEST_F(ReplicaBoardTest, TwoHearOfEachOtherAndOfChanges) {
    auto a = board("a", [] { return at_revision(9); });
    auto b = board("b", [this] { return at_revision(revision_); });
    b->start();
    a->start();
    ASSERT_EQ(a->view().others.size(), 1U);
    EXPECT_EQ(a->view().others[0].consumers.at("c").applied_revision, 1);
    EXPECT_TRUE(wait_for([&] { return b->view().others.size() == 1; }));
    EXPECT_FALSE(a->wait_applied("c", 2, 10ms));
    revision_ = 2;
    EXPECT_TRUE(a->wait_applied("c", 2, 20s));
    b->stop();
    EXPECT_TRUE(wait_for([&] { return a->view().others.empty(); })) << "it has left";
    EXPECT_TRUE(a->wait_applied("c", 99, 0ms)) << "nobody is left to wait for";
}

TEST_F(ReplicaBoardTest, AReportThatIsKnownIsNotSentAgain) {
    auto a = board("a", [] { return at_revision(1); });
    auto b = board("b", [] { return at_revision(1); });
    b->start();
    a->start();
    ASSERT_TRUE(wait_for([&] { return b->view().others.size() == 1; }));
    std::this_thread::sleep_for(2 * ReplicaBoard::kInterval);
    std::lock_guard lock(table_.mutex);
    EXPECT_EQ(table_.reports_sent, 2);
}

TEST_F(ReplicaBoardTest, WhoIsSilentIsDeadAndNotWaitedFor) {
    auto a = board("a", [] { return at_revision(1); });
    table_.rows["b"] = {{"b", "host", "1", ""}, ReplicaBoard::kDeadAfter, "v", write_reports(at_revision(1))};
    a->start();
    ASSERT_EQ(a->view().others.size(), 1U);
    EXPECT_FALSE(a->view().others[0].alive);
    EXPECT_EQ(a->view().others[0].consumers.size(), 1U) << "what it last said is kept";
    EXPECT_TRUE(a->wait_applied("c", 99, 0ms));
}

TEST_F(ReplicaBoardTest, WhileTheDatabaseIsAwayNobodyIsDeclaredDead) {
    auto a = board("a", [] { return at_revision(1); });
    auto b = board("b", [] { return at_revision(1); });
    b->start();
    a->start();
    {
        std::lock_guard lock(table_.mutex);
        table_.away = true;
    }
    ASSERT_TRUE(wait_for([&] { return !a->view().current; }));
    EXPECT_TRUE(a->view().others.at(0).alive);
    {
        std::lock_guard lock(table_.mutex);
        table_.away = false;
        table_.silent = 2 * ReplicaBoard::kDeadAfter;  // it could not report either
    }
    EXPECT_TRUE(wait_for([&] { return a->view().current; }));
    EXPECT_TRUE(a->view().others.at(0).alive) << "it has not had the time to report";
    EXPECT_TRUE(wait_for([&] { return !a->view().others.at(0).alive; })) << "now it has";
}

TEST(ReplicaBoard, HoweverSlowTheDatabaseIsItReportsBeforeTheOthersTakeItForDead) {
    for (const auto took : {0ms, 40ms, 300ms, 1'000ms, 5'000ms}) {
        EXPECT_GE(ReplicaBoard::interval_after(took), ReplicaBoard::kInterval);
        EXPECT_LE(2 * ReplicaBoard::interval_after(took), ReplicaBoard::kDeadAfter);
    }
    EXPECT_EQ(ReplicaBoard::interval_after(100ms), 1'000ms) << "it costs the database no more than a tenth";
}

TEST_F(ReplicaBoardTest, WaitsUntilADeletedConsumerIsGoneEverywhere) {
    auto a = board("a", [] { return ConsumerReports{}; });
    auto b = board("b", [this] { return revision_ == 1 ? at_revision(1) : ConsumerReports{}; });
    b->start();
    a->start();
    EXPECT_FALSE(a->wait_gone("c", 10ms));
    revision_ = 2;
    EXPECT_TRUE(a->wait_gone("c", 20s));
}

TEST(ReplicaBoard, AloneItKnowsNobodyAndWaitsForNobody) {
    ReplicaBoard board({"a", "", "", ""}, nullptr, [] { return ConsumerReports{}; });
    board.start();
    EXPECT_FALSE(board.shared());
    EXPECT_TRUE(board.view().current);
    EXPECT_TRUE(board.view().others.empty());
    EXPECT_TRUE(board.wait_applied("c", 5, 0ms));
}

}  // namespace
}  // namespace fetcher
