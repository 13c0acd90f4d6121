#include "admin/reconciler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>

#include "admin/consumer_service.h"
#include "admin/sqlite_store.h"
#include "tests/unit/admin/fake_pipelines.h"

namespace fetcher {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Needs nothing, claims the place it is given.
class PlaceType : public ProcessorType {
  public:
    std::string name() const override { return "place"; }
    json schema() const override { return {{"type", "object"}}; }
    std::vector<ConfigProblem> check(const json&, const ProcessorOwner&, const ProcessorEnvironment&) const override { return {}; }
    std::string claim(const json& config, const ProcessorOwner&, const ProcessorEnvironment&) const override {
        return config.value("at", "");
    }
    Result<std::unique_ptr<Processor>> make(const json&, const ProcessorOwner&, const ProcessorEnvironment&) const override {
        return fatal("not in this test");
    }
};

class ReconcilerTest : public ::testing::Test {
  protected:
    ReconcilerTest() { registry_.add(std::make_unique<PlaceType>()); }
    ~ReconcilerTest() override { std::filesystem::remove_all(folder_); }

    static json body(const std::string& place, bool auto_start) {
        return {{"broker_ip", "h"},
                {"broker_port", 1},
                {"topic", "t"},
                {"consumer_group", "g"},
                {"auto_start", auto_start},
                {"processor_configs", {{{"processor_type", "place"}, {"config", {{"at", place}}}}}}};
    }
    std::unique_ptr<ConfigStore> open_store() const {
        std::filesystem::create_directories(folder_);
        return std::move(*SqliteStore::open(folder_ + "/x.db"));
    }
    std::string create(const std::string& place, bool auto_start) {
        const auto made = service_.create(body(place, auto_start));
        EXPECT_TRUE(made) << made.error().detail;
        return made ? made->stored.consumer_id : "";
    }

    const std::string folder_ = ::testing::TempDir() + "reconciler_test_" + std::to_string(getpid());
    const std::unique_ptr<ConfigStore> store_ = open_store();
    FakePipelines pipelines_;
    ProcessorRegistry registry_;
    const ProcessorEnvironment environment_{"i", {"/"}};
    const ConsumerConfig config_{registry_, environment_};
    Reconciler reconciler_{*store_, pipelines_.factory()};
    ReplicaBoard alone_{{"i", "", "", ""}, nullptr, [] { return ConsumerReports{}; }};
    ConsumerService service_{*store_, reconciler_, config_, alone_, seconds{20}};
};

TEST_F(ReconcilerTest, IsReadyAfterItsFirstPass) {
    EXPECT_FALSE(service_.ready());
    reconciler_.start();
    for (int i = 0; i < 4000 && !reconciler_.ready(); ++i) std::this_thread::sleep_for(milliseconds{5});
    EXPECT_TRUE(service_.ready());
}

TEST_F(ReconcilerTest, TheAnswerToACreateIsTheTruth) {
    reconciler_.start();
    EXPECT_EQ(service_.create(body("a", true))->health.status, "ACTIVE");
    EXPECT_EQ(pipelines_.count(), 1U);
    EXPECT_EQ(service_.create(body("b", false))->health.status, "INACTIVE");
    EXPECT_EQ(pipelines_.count(), 1U);
}

TEST_F(ReconcilerTest, RunsAgainWhatRanBeforeACrash) {
    StoredConsumer stored;
    stored.consumer_id = "c";
    stored.desired = Desired::running;
    ASSERT_TRUE(store_->create(stored));
    reconciler_.start();
    EXPECT_TRUE(reconciler_.wait_applied("c", 1, seconds{5}));
    EXPECT_EQ(pipelines_.count(), 1U);
}

TEST_F(ReconcilerTest, StartAndStopMayBeRepeated) {
    reconciler_.start();
    const auto id = create("a", false);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(service_.start(id)->health.status, "ACTIVE");
    EXPECT_EQ(pipelines_.count(), 1U);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(service_.stop(id)->health.status, "INACTIVE");
    EXPECT_EQ(service_.get(id)->stored.revision, 3) << "repeating writes nothing";
}

TEST_F(ReconcilerTest, AnUpdateRestartsAnActiveOneAndLeavesAStoppedOne) {
    reconciler_.start();
    const auto active = create("a", true), stopped = create("b", false);
    EXPECT_EQ(service_.update(active, {{"topic", "u"}})->health.status, "ACTIVE");
    EXPECT_EQ(pipelines_.count(), 2U);
    EXPECT_EQ(pipelines_.last()->consumer.spec.topic, "u");
    EXPECT_EQ(service_.update(stopped, {{"topic", "u"}})->health.status, "INACTIVE");
    EXPECT_EQ(pipelines_.count(), 2U);
}

TEST_F(ReconcilerTest, AStopThatTakesLongIsAnsweredWithHowThingsStand) {
    pipelines_.stop_at_once = false;
    reconciler_.start();
    const auto id = create("a", true);
    ConsumerService hasty{*store_, reconciler_, config_, alone_, seconds{2}};  // by then it is being stopped
    const auto answer = hasty.stop(id);
    EXPECT_FALSE(answer->settled);
    EXPECT_EQ(answer->health.status, "ACTIVE");
    EXPECT_EQ(answer->health.state, "stopping");
    pipelines_.last()->end();
    EXPECT_TRUE(reconciler_.wait_applied(id, answer->stored.revision, seconds{5}));
    EXPECT_EQ(service_.get(id)->health.status, "INACTIVE");
}

TEST_F(ReconcilerTest, ASlowConsumerHoldsUpNoOther) {
    pipelines_.stop_at_once = false;
    reconciler_.start();
    const auto slow = create("a", true);
    ConsumerService hasty{*store_, reconciler_, config_, alone_, milliseconds{300}};
    EXPECT_FALSE(hasty.stop(slow)->settled);
    EXPECT_EQ(service_.create(body("b", true))->health.status, "ACTIVE");
    pipelines_.last()->end();
}

TEST_F(ReconcilerTest, TwoActiveConsumersCannotHaveOnePlace) {
    reconciler_.start();
    const auto first = create("a", true), second = create("a", false), third = create("b", true);
    const auto refused = {service_.create(body("a", true)), service_.start(second),
                          service_.update(third, {{"processor_configs", {{{"processor_type", "place"}, {"config", {{"at", "a"}}}}}}})};
    for (const auto& answer : refused) {
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().status, 409);
        EXPECT_NE(answer.error().detail.find(first), std::string::npos);
    }
    EXPECT_EQ(service_.list({})->items.size(), 3U) << "nothing is kept of a refused request";
    EXPECT_TRUE(service_.stop(first));
    EXPECT_TRUE(service_.start(second));
}

TEST_F(ReconcilerTest, DeadLettersAndASinkOfTwoActiveConsumersCannotHaveOneFile) {
    reconciler_.start();
    auto letters = body("a", true), sink = body("b", true), more = body("c", true);
    letters["dead_letter"] = more["dead_letter"] = {{"file_path", "/no-such-folder/x"}};
    sink["processor_configs"][0] = {{"processor_type", "file_sink"}, {"config", {{"file_path", "/no-such-folder/x"}}}};
    const auto first = service_.create(letters);
    ASSERT_TRUE(first);
    const auto refused = service_.create(sink);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, 409);
    EXPECT_EQ(refused.error().errors.at(0).pointer, "/processor_configs/0/config");
    EXPECT_TRUE(service_.create(more)) << "dead letters may share a file";
    const auto all = service_.list({});
    for (const auto& consumer : all->items) EXPECT_TRUE(service_.stop(consumer.stored.consumer_id));

    ASSERT_TRUE(service_.create(sink));
    const auto started = service_.start(first->stored.consumer_id);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().status, 409);
    EXPECT_EQ(started.error().errors.at(0).pointer, "/dead_letter/file_path");
}

TEST_F(ReconcilerTest, DeletingStopsFirst) {
    reconciler_.start();
    const auto id = create("a", true);
    ASSERT_TRUE(service_.remove(id));
    EXPECT_TRUE(pipelines_.last()->was_asked_to_stop());
    EXPECT_TRUE(pipelines_.last()->destroyed);
    EXPECT_EQ(service_.get(id).error().status, 404);
    EXPECT_EQ(service_.remove(id).error().status, 404);
}

TEST_F(ReconcilerTest, ListsInPages) {
    reconciler_.start();
    for (const auto* place : {"a", "b", "c"}) create(place, place[0] == 'b');
    ConsumerFilter filter;
    filter.limit = 2;
    const auto first = *service_.list(filter);
    EXPECT_EQ(first.items.size(), 2U);
    ASSERT_TRUE(first.next);
    filter.after = *first.next;
    const auto second = *service_.list(filter);
    EXPECT_EQ(second.items.size(), 1U);
    EXPECT_FALSE(second.next);
    ConsumerFilter active;
    active.status = "ACTIVE";
    EXPECT_EQ(service_.list(active)->items.size(), 1U);
}

TEST_F(ReconcilerTest, LeavesOnlyWhenEverythingHasDrained) {
    pipelines_.stop_at_once = false;
    reconciler_.start();
    create("a", true);
    const auto pipeline = pipelines_.last();
    std::thread drain([&] {
        while (!pipeline->was_asked_to_stop()) std::this_thread::yield();
        pipeline->end();
    });
    EXPECT_TRUE(reconciler_.stop(seconds{5}));
    drain.join();
}

TEST_F(ReconcilerTest, DoesNotWaitForEverForADrain) {
    pipelines_.stop_at_once = false;
    reconciler_.start();
    create("a", true);
    EXPECT_FALSE(reconciler_.stop(milliseconds{50}));
}

TEST_F(ReconcilerTest, WhatIsKeptOfConsumersThatAreGoneMayGo) {
    std::mutex mutex;
    std::vector<std::set<std::string>> told;
    Reconciler reconciler{*store_, pipelines_.factory(), {}, [&](const auto& consumers) {
                              const std::lock_guard lock(mutex);
                              told.push_back(consumers);
                          }};
    const auto store = [&](const std::string& id) {
        StoredConsumer consumer;
        consumer.consumer_id = id;
        EXPECT_TRUE(store_->create(consumer));
        reconciler.poke();
    };
    store("a");
    reconciler.start();
    EXPECT_TRUE(reconciler.wait_applied("a", 1, seconds{5}));
    store("b");
    EXPECT_TRUE(reconciler.wait_applied("b", 1, seconds{5}));
    EXPECT_TRUE(store_->remove("a", std::nullopt));
    reconciler.poke();
    EXPECT_TRUE(reconciler.wait_gone("a", seconds{5}));
    const std::lock_guard lock(mutex);
    ASSERT_EQ(told.size(), 2U) << "at the start, and when one was gone";
    EXPECT_EQ(told[0], std::set<std::string>{"a"});
    EXPECT_EQ(told[1], std::set<std::string>{"b"});
}

// It may be another than the one that was meant, and what is forgotten cannot be had again.
TEST_F(ReconcilerTest, AStoreWithoutAConsumerAtTheStartMakesNobodyForgotten) {
    std::atomic<int> told{0};
    Reconciler reconciler{*store_, pipelines_.factory(), {}, [&](const auto&) { ++told; }};
    reconciler.start();
    for (int i = 0; i < 4000 && !reconciler.ready(); ++i) std::this_thread::sleep_for(milliseconds{5});
    ASSERT_TRUE(reconciler.ready());
    EXPECT_EQ(told, 0);
}

}  // namespace
}  // namespace fetcher
