#include "engine/redelivery.h"

#include <gtest/gtest.h>

#include "tests/fakes/fake_sink.h"

namespace fetcher {
namespace {

using testing::FakeSink;
using testing::FakeStore;
using namespace std::chrono_literals;
using Kind = Redelivery::Kind;

class Kept final : public DeadLetters {
  public:
    Result<void> keep(const Batch& batch, const std::vector<BadRecord>& bad, const Refuser& refuser) override {
        for (const auto& record : bad) values.push_back(std::string(batch.record(record.index).value().value_or("<null>")) + " " + std::to_string(refuser.replays));
        return {};
    }
    std::vector<std::string> values;
};

DeadLetter letter() {
    DeadLetter letter;
    letter.consumer_id = "c";
    letter.topic = "t";
    letter.partition = 3;
    letter.offset = 41;
    letter.value = "v";
    letter.key = "k";
    return letter;
}

Redelivery run(FakeStore& store, std::shared_ptr<Kept> kept = std::make_shared<Kept>(), std::chrono::milliseconds limit = 20s) {
    return redeliver(letter(), "g", std::make_unique<FakeSink>(store), {{.initial = 1ms, .max = 2ms}, std::move(kept), {"p", "fake", 1}}, Clock::now() + limit);
}

TEST(Redelivery, IsOneRecordAtItsOwnPlace) {
    for (const bool holds : {false, true}) {
        FakeStore store;
        store.holds = holds;
        EXPECT_EQ(run(store).kind, Kind::delivered);
        EXPECT_EQ(store.rows(), (std::vector<FakeStore::Row>{{3, 41, "v"}}));
    }
}

TEST(Redelivery, OfWhatTheSinkHasAlreadyWritesNothing) {
    FakeStore store;
    store.set_position(3, {42, "", true});
    EXPECT_EQ(run(store).kind, Kind::delivered);
    EXPECT_TRUE(store.rows().empty());
}

TEST(Redelivery, TriesAgainWhatFailsForNow) {
    FakeStore store;
    store.answer_writes(Outcome::retry("busy"), 3);
    EXPECT_EQ(run(store).kind, Kind::delivered);
    EXPECT_EQ(store.rows().size(), 1u);
}

TEST(Redelivery, OfWhatIsRefusedAgainIsADeadLetterAgain) {
    FakeStore store;
    store.answer_writes(Outcome::bad_records({{0, "still wrong"}}), 1);
    auto kept = std::make_shared<Kept>();
    EXPECT_EQ(run(store, kept).kind, Kind::refused);
    EXPECT_EQ(kept->values, (std::vector<std::string>{"v 1"}));
    EXPECT_TRUE(store.rows().empty());
}

TEST(Redelivery, SaysWhyItIsNotDone) {
    FakeStore broken;
    broken.answer_writes(Outcome::fatal("the table is gone"), 1);
    const auto failed = run(broken);
    EXPECT_EQ(failed.kind, Kind::not_now);
    EXPECT_EQ(failed.reason, "the table is gone");

    FakeStore away;
    away.answer_writes(Outcome::retry("the sink is away"), 1'000'000);
    const auto late = run(away, std::make_shared<Kept>(), 100ms);
    EXPECT_EQ(late.kind, Kind::not_now);
    EXPECT_EQ(late.reason, "the sink is away");

    FakeStore locked;
    locked.refuse_opens(1'000'000);
    EXPECT_EQ(run(locked, std::make_shared<Kept>(), 100ms).reason, "the test's sink is locked");
}

}  // namespace
}  // namespace fetcher
