// Dead letters in a file, shown and delivered anew to a sink in memory.
#include "admin/dead_letter_service.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <thread>

#include "admin/sqlite_store.h"
#include "tests/fakes/fake_sink.h"

namespace fetcher {
namespace {

using nlohmann::json;
using testing::FakeSink;
using testing::FakeStore;

// Makes sinks of one store, and waits with that while the test holds `gate`.
class FakeType : public ProcessorType {
  public:
    FakeType(FakeStore& sink, std::mutex& gate, std::atomic<int>& making) : sink_(sink), gate_(gate), making_(making) {}
    std::string name() const override { return "fake"; }
    json schema() const override { return {{"type", "object"}}; }
    std::vector<ConfigProblem> check(const json&, const ProcessorOwner&, const ProcessorEnvironment&) const override { return {}; }
    Result<std::unique_ptr<Processor>> make(const json&, const ProcessorOwner&, const ProcessorEnvironment&) const override {
        making_++;
        const std::lock_guard lock(gate_);
        return std::make_unique<FakeSink>(sink_);
    }

  private:
    FakeStore& sink_;
    std::mutex& gate_;
    std::atomic<int>& making_;
};

class DeadLetterServiceTest : public ::testing::Test {
  protected:
    DeadLetterServiceTest() {
        registry_.add(std::make_unique<FakeType>(sink_, gate_, making_));
        sink_.keeps_position = false;
    }
    ~DeadLetterServiceTest() override { std::filesystem::remove_all(folder_); }

    std::unique_ptr<ConfigStore> open_store() const {
        std::filesystem::create_directories(folder_);
        return std::move(*SqliteStore::open(folder_ + "/x.db"));
    }
    void create(const std::string& id) {
        StoredConsumer consumer;
        consumer.consumer_id = id;
        consumer.spec.broker_ip = "h";
        consumer.spec.topic = "t";
        consumer.spec.consumer_group = "g";
        consumer.spec.dead_letter = {{"file_path", file()}};
        consumer.spec.processors = {{"p", "fake", json::object(), true, "", ""}};
        ASSERT_TRUE(store_->create(consumer));
    }
    std::string file() const { return folder_ + "/dead.jsonl"; }
    void add_letter(const std::string& consumer, int64_t offset, const std::string& failed_at) {
        std::ofstream(file(), std::ios::app) << json{{"failed_at", failed_at}, {"consumer_id", consumer}, {"consumer_group", "g"}, {"processor_id", "p"},
                                                     {"processor_type", "fake"}, {"error", "no"}, {"replays", 0}, {"topic", "t"}, {"partition", 0},
                                                     {"offset", offset}, {"timestamp", 5}, {"key", nullptr}, {"headers", json::array()}, {"value", "v"}}.dump()
                                             << "\n";
    }

    const std::string folder_ = ::testing::TempDir() + "dead_letter_service_test_" + std::to_string(getpid());
    FakeStore sink_;
    std::mutex gate_;
    std::atomic<int> making_{0};
    const std::unique_ptr<ConfigStore> store_ = open_store();
    ProcessorRegistry registry_;
    const ProcessorEnvironment environment_{"i", {folder_}};
    DeadLetterService service_{*store_, registry_, environment_};
};

constexpr const char* kPast = "2026-01-01T00:00:00.000Z";
constexpr const char* kFuture = "2999-01-01T00:00:00.000Z";

// As after a clock that was ahead.
TEST_F(DeadLetterServiceTest, WhatIsNewerThanTheReplayIsCountedAndDeliveredWhenNamed) {
    create("c");
    add_letter("c", 7, kPast);
    add_letter("c", 8, kFuture);
    const auto all = service_.replay("c", {}, "");
    ASSERT_TRUE(all) << all.error().detail;
    EXPECT_EQ(all->delivered, 1U);
    EXPECT_EQ(all->newer, 1U);
    const auto listed = service_.list("c", 10, "");
    ASSERT_TRUE(listed);
    ASSERT_EQ(listed->items.size(), 2U);
    EXPECT_TRUE(listed->items[0].replayed);
    EXPECT_FALSE(listed->items[1].replayed);
    LetterFilter named;
    named.ids = {listed->items[1].letter.id()};
    EXPECT_EQ(service_.replay("c", named, "")->delivered, 1U);
    EXPECT_EQ(sink_.rows().size(), 2U);
}

TEST_F(DeadLetterServiceTest, WhatAnEarlierBuildHasDeliveredIsNotDeliveredAgain) {
    create("c");
    add_letter("c", 7, kPast);
    ASSERT_TRUE(store_->mark_replayed("c", "p:0:7:5:0", "now"));  // without the topic
    EXPECT_TRUE(service_.list("c", 10, "")->items.at(0).replayed);
    EXPECT_EQ(service_.replay("c", {}, "")->already_replayed, 1U);
    EXPECT_TRUE(sink_.rows().empty());
}

TEST_F(DeadLetterServiceTest, ThoseThatHangLeaveThreadsForOtherQuestions) {
    std::unique_lock held(gate_);
    std::vector<std::thread> hanging;
    for (const std::string id : {"c0", "c1", "c2", "c3"}) {
        create(id);
        add_letter(id, 1, kPast);
        hanging.emplace_back([this, id] { EXPECT_EQ(service_.replay(id, {}, "")->delivered, 1U); });
    }
    while (making_ < 4 && !HasFailure()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    create("c");
    const auto listed = service_.list("c", 10, "");
    const auto replayed = service_.replay("c", {}, "");
    held.unlock();
    for (auto& thread : hanging) thread.join();
    ASSERT_FALSE(listed);
    ASSERT_FALSE(replayed);
    EXPECT_EQ(listed.error().status, 503);
    EXPECT_EQ(replayed.error().status, 503);
    EXPECT_EQ(listed.error().headers.at(0).first, "Retry-After");
    EXPECT_TRUE(service_.list("c", 10, ""));
}

TEST_F(DeadLetterServiceTest, ASinkThatDoesNotLetGoOfARecordHoldsUpNoAnswer) {
    using std::chrono::milliseconds;
    // So long a delivery has to come as far as its sink.
    DeadLetterService service(*store_, registry_, environment_, {.letter = milliseconds(3'000), .break_off = milliseconds(20)});
    create("c");
    create("other");
    add_letter("c", 7, kPast);
    sink_.cork();
    auto replay = std::async(std::launch::async, [&] { return service.replay("c", {}, ""); });
    const bool answered = replay.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
    if (!answered) sink_.uncork();
    const auto first = replay.get();
    ASSERT_TRUE(answered);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->delivered, 0U);
    EXPECT_NE(first->stopped_because.find("held up"), std::string::npos) << first->stopped_because;
    EXPECT_FALSE(first->next_cursor.empty());
    EXPECT_TRUE(service.held_up());
    const auto second = service.replay("c", {}, "");
    EXPECT_EQ(second ? 200 : second.error().status, 409) << "no second one piles up behind it";
    EXPECT_TRUE(service.list("c", 10, ""));
    EXPECT_TRUE(service.replay("other", {}, ""));
    sink_.uncork();
    while (service.held_up() && !HasFailure()) std::this_thread::sleep_for(milliseconds(1));
    const auto later = service.replay("c", {}, "");
    ASSERT_TRUE(later) << later.error().detail;
    EXPECT_EQ(later->already_replayed, 1U) << "it was delivered after all, and that is noted";
    EXPECT_EQ(sink_.rows().size(), 1U);
}

}  // namespace
}  // namespace fetcher
