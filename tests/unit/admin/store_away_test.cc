// A store that others write to, and that goes away: what the reconciler and the service make of it.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>

#include "admin/consumer_service.h"
#include "admin/sqlite_store.h"
#include "tests/unit/admin/fake_pipelines.h"

namespace fetcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A real store that fails while `away`, and whose watcher the test calls.
class AwayStore : public ConfigStore {
  public:
    explicit AwayStore(ConfigStore& store) : store_(store) {}

    Answer<std::vector<StoredConsumer>> list() override { return through<std::vector<StoredConsumer>>([&] { return store_.list(); }); }
    Answer<std::optional<StoredConsumer>> find(const std::string& id) override {
        return through<std::optional<StoredConsumer>>([&] { return store_.find(id); });
    }
    Answer<StoredConsumer> create(const StoredConsumer& consumer) override {
        return through<StoredConsumer>([&] { return store_.create(consumer); });
    }
    Answer<StoredConsumer> replace(const StoredConsumer& next) override {
        writes++;
        const std::lock_guard slow(holds_writes);
        auto replaced = through<StoredConsumer>([&] { return store_.replace(next); });
        if (goes_away_after_a_write) away = true;
        return replaced;
    }
    Answer<void> remove(const std::string& id, std::optional<int64_t> seen) override {
        return through<void>([&] { return store_.remove(id, seen); });
    }
    Answer<std::vector<StoredConsumer>> revisions(const std::string& id, int64_t before, size_t limit) override {
        return through<std::vector<StoredConsumer>>([&] { return store_.revisions(id, before, limit); });
    }
    Answer<std::optional<StoredConsumer>> revision(const std::string& id, int64_t revision) override {
        return through<std::optional<StoredConsumer>>([&] { return store_.revision(id, revision); });
    }
    Answer<std::set<std::string>> replayed(const std::string& id, const std::vector<std::string>& letters) override {
        return through<std::set<std::string>>([&] { return store_.replayed(id, letters); });
    }
    Answer<void> mark_replayed(const std::string& id, const std::string& letter, const std::string& at) override {
        return through<void>([&] { return store_.mark_replayed(id, letter, at); });
    }
    Answer<void> ping() override {
        return through<void>([&] { return store_.ping(); });
    }
    std::unique_ptr<StoreWatch> watch(std::function<void()> on_change) override {
        std::lock_guard lock(mutex_);
        on_change_ = std::move(on_change);
        return std::make_unique<StoreWatch>();
    }
    void report_a_change() {
        std::lock_guard lock(mutex_);
        if (on_change_) on_change_();
    }

    std::atomic<bool> away{false};
    std::atomic<bool> goes_away_after_a_write{false};
    std::atomic<int> writes{0};
    std::mutex holds_writes;

  private:
    template <class T, class Work>
    Answer<T> through(Work work) {
        if (away) return tl::unexpected<StoreError>(StoreError{StoreError::Kind::unavailable, "The store is away."});
        return work();
    }

    ConfigStore& store_;
    std::mutex mutex_;
    std::function<void()> on_change_;
};

class StoreAwayTest : public ::testing::Test {
  protected:
    StoreAwayTest() {
        StoredConsumer consumer;
        consumer.consumer_id = "c";
        consumer.desired = Desired::running;
        EXPECT_TRUE(real_->create(consumer));
        reconciler_.start();
        EXPECT_TRUE(reconciler_.wait_applied("c", 1, seconds{5}));
    }
    ~StoreAwayTest() override {
        reconciler_.stop(seconds{1});
        std::filesystem::remove_all(folder_);
    }
    std::unique_ptr<ConfigStore> open_store() const {
        std::filesystem::create_directories(folder_);
        return std::move(*SqliteStore::open(folder_ + "/x.db"));
    }
    // As another process would.
    void stop_elsewhere() {
        auto consumer = **real_->find("c");
        consumer.desired = Desired::stopped;
        EXPECT_TRUE(real_->replace(consumer));
    }
    bool stops_within(milliseconds limit) {
        const auto until = std::chrono::steady_clock::now() + limit;
        while (std::chrono::steady_clock::now() < until) {
            if (pipelines_.last()->was_asked_to_stop()) return true;
            std::this_thread::sleep_for(milliseconds{5});
        }
        return false;
    }

    const std::string folder_ = ::testing::TempDir() + "store_away_test_" + std::to_string(getpid());
    const std::unique_ptr<ConfigStore> real_ = open_store();
    AwayStore store_{*real_};
    FakePipelines pipelines_;
    ProcessorRegistry registry_;
    const ProcessorEnvironment environment_{"i", {}};
    const ConsumerConfig config_{registry_, environment_};
    Reconciler reconciler_{store_, pipelines_.factory()};
    ReplicaBoard alone_{{"i", "", "", ""}, nullptr, [] { return ConsumerReports{}; }};
    ConsumerService service_{store_, reconciler_, config_, alone_, seconds{10}};
};

TEST_F(StoreAwayTest, AChangeMadeElsewhereIsFollowedAtOnce) {
    stop_elsewhere();
    EXPECT_FALSE(stops_within(milliseconds{300})) << "nobody has told";
    store_.report_a_change();
    EXPECT_TRUE(stops_within(milliseconds{4'000})) << "the poll would come after 5 s";
}

TEST_F(StoreAwayTest, AChangeThatNobodyToldIsFoundByThePoll) {
    stop_elsewhere();
    EXPECT_TRUE(stops_within(milliseconds{20'000}));
}

TEST_F(StoreAwayTest, WhatRunsGoesOnAndWhatWasKnownIsTold) {
    store_.away = true;
    store_.report_a_change();
    EXPECT_FALSE(stops_within(milliseconds{300}));
    const auto shown = service_.get("c");
    ASSERT_TRUE(shown);
    EXPECT_TRUE(shown->stale);
    EXPECT_EQ(shown->health.status, "ACTIVE");
    const auto listed = service_.list({});
    ASSERT_TRUE(listed);
    EXPECT_TRUE(listed->stale);
    EXPECT_EQ(listed->items.size(), 1U);
    EXPECT_EQ(service_.get("unknown").error().status, 503) << "it may exist";
    for (const auto& refused : {service_.stop("c"), service_.update("c", {{"topic", "t"}}), service_.rollback("c", 1)}) {
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().status, 503);
        EXPECT_EQ(refused.error().headers.at(0).first, "Retry-After");
    }
    EXPECT_EQ(service_.remove("c").error().status, 503);
    EXPECT_EQ(service_.ready().error().status, 503);
    store_.away = false;
    EXPECT_FALSE(service_.get("c")->stale);
    EXPECT_EQ(service_.stop("c")->health.status, "INACTIVE");
}

TEST_F(StoreAwayTest, NobodyWaitsLongForTheWritesOfOthers) {
    ConsumerService service{store_, reconciler_, config_, alone_, seconds{10}, milliseconds{50}};
    std::unique_lock held(store_.holds_writes);
    std::thread first([&] { EXPECT_TRUE(service.stop("c")); });
    while (store_.writes == 0 && !HasFailure()) std::this_thread::sleep_for(milliseconds{1});
    auto asked = std::async(std::launch::async, [&] { return service.restart("c"); });
    const bool answered = asked.wait_for(seconds{20}) == std::future_status::ready;
    held.unlock();
    first.join();
    const auto second = asked.get();
    ASSERT_TRUE(answered) << "while the first one was held up";
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().status, 503);
    EXPECT_EQ(second.error().headers.at(0).first, "Retry-After");
    EXPECT_TRUE(service.start("c"));
}

TEST_F(StoreAwayTest, NothingIsForgottenWhileItIsNotKnownWhatThereIs) {
    std::atomic<int> told{0};
    store_.away = true;
    Reconciler reconciler{store_, pipelines_.factory(), {}, [&](const auto&) { told++; }};
    reconciler.start();
    EXPECT_FALSE(reconciler.wait_applied("c", 1, seconds{5})) << "the store has been asked";
    for (int i = 0; i < 60 && told == 0; i++) std::this_thread::sleep_for(milliseconds{5});  // some steps long
    EXPECT_EQ(told, 0);
    reconciler.stop(seconds{1});
}

TEST_F(StoreAwayTest, NobodyWaitsForAnEffectThatCannotCome) {
    store_.goes_away_after_a_write = true;
    const auto begin = std::chrono::steady_clock::now();
    const auto stopped = service_.stop("c");
    ASSERT_TRUE(stopped);
    EXPECT_FALSE(stopped->settled);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds{5});
}

}  // namespace
}  // namespace fetcher
