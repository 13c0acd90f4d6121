// What a worker does with records that its processor refuses for good, and how long it goes on trying.
#include "engine/worker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>

#include "engine/receiver.h"

namespace fetcher {
namespace {

using namespace std::chrono_literals;

// Refuses every record whose value begins with "bad", at most `at_once` of them in one call, as a sink does that finds them one by one.
class Picky final : public Processor {
  public:
    explicit Picky(size_t at_once) : at_once_(at_once) {}
    void bind(Acks&) override {}
    Result<std::optional<Position>> open(const std::shared_ptr<Assignment>&) override { return std::nullopt; }
    Outcome write(const Batch& batch, size_t first) override {
        if (failures > 0) return failures--, Outcome::retry("the sink is away");
        std::vector<BadRecord> bad;
        for (size_t i = first; i < batch.size() && bad.size() < at_once_; i++)
            if (batch.record(i).value().value_or("").starts_with("bad")) bad.push_back({static_cast<uint32_t>(i), "reason " + std::to_string(i)});
        if (!bad.empty()) return Outcome::bad_records(std::move(bad));
        for (size_t i = first; i < batch.size(); i++) written.push_back(batch.record(i).offset());
        return Outcome::durable();
    }
    void close(const Assignment&) override {}

    std::vector<int64_t> written;
    int failures = 0;

  private:
    const size_t at_once_;
};

class Letters final : public DeadLetters {
  public:
    Result<void> keep(const Batch& batch, const std::vector<BadRecord>& bad, const Refuser& refuser) override {
        const std::lock_guard lock(mutex);
        EXPECT_EQ(refuser.processor_id, "p");
        if (failures != 0) return failures--, transient("the topic is gone");
        for (const auto& [index, why] : bad) {
            const Record record = batch.record(index);
            std::string headers;
            record.for_each_header([&](const Header& header) { headers += std::string(header.name) + "=" + std::string(header.value.value_or("<null>")) + ";"; });
            kept.push_back(std::to_string(record.offset()) + " " + std::string(record.key().value_or("<null>")) + " " + headers + " " +
                           std::string(record.value().value_or("<null>")));
        }
        return {};
    }
    std::mutex mutex;
    std::vector<std::string> kept;
    int failures = 0;  // negative: for ever
};

class WorkerTest : public ::testing::Test {
  protected:
    void start(std::unique_ptr<Picky> picky, std::shared_ptr<DeadLetters> letters, RetryPolicy retry = {.initial = 1ms, .max = 5ms}) {
        picky_ = picky.get();
        worker_ = std::make_unique<Worker>(0, "w", std::move(picky), acks_, FailurePolicy{retry, std::move(letters), {"p", "picky", 0}});
        assignment_->topic = "t";
        worker_->start();
        worker_->lane().push({.kind = LaneItem::Kind::begin, .assignment = assignment_, .offset = 0});
    }
    void push(const std::vector<std::string>& values) {
        batch_.begin(assignment_, 0);
        for (size_t i = 0; i < values.size(); i++) {
            batch_.add(static_cast<int64_t>(i), 1'000, values[i]);
            batch_.add_key("k" + std::to_string(i));
            batch_.add_header("h", "v" + std::to_string(i));
            batch_.add_header("n", std::nullopt);
        }
        batch_.set_next_offset(static_cast<int64_t>(values.size()) + 5);  // a gap behind them
        worker_->lane().push({.kind = LaneItem::Kind::batch, .batch = &batch_});
    }
    // The acks until one of this kind has come, that one last.
    std::vector<Ack> until(Ack::Kind kind) {
        std::vector<Ack> seen;
        const auto deadline = Clock::now() + 20s;
        while (Clock::now() < deadline) {
            Ack ack;
            if (!acks_.try_pop(ack)) {
                bell_.wait_until(deadline);
                continue;
            }
            seen.push_back(std::move(ack));
            if (seen.back().kind == kind) return seen;
        }
        ADD_FAILURE() << "no such ack came";
        return {Ack{}};
    }
    void TearDown() override {
        assignment_->revoked = true;
        worker_->lane().push({.kind = LaneItem::Kind::stop});
        worker_.reset();
    }

    Doorbell bell_;
    AckQueue acks_{bell_};
    std::shared_ptr<Assignment> assignment_ = std::make_shared<Assignment>();
    Batch batch_;
    Picky* picky_ = nullptr;
    std::unique_ptr<Worker> worker_;
};

class RefusedAtOnce : public WorkerTest, public ::testing::WithParamInterface<size_t> {};

TEST_P(RefusedAtOnce, BecomeDeadLettersWholeAndTheOthersAreWrittenInOrder) {
    auto letters = std::make_shared<Letters>();
    start(std::make_unique<Picky>(GetParam()), letters);
    push({"a", "bad1", "b", "bad3", "bad4", "c"});
    const auto acks = until(Ack::Kind::given_back);
    EXPECT_EQ(acks.front().kind, Ack::Kind::durable);
    EXPECT_EQ(acks.front().offset, 11) << "the gap belongs to the batch";
    EXPECT_EQ(acks.back().batch, &batch_);
    EXPECT_EQ(letters->kept, (std::vector<std::string>{"1 k1 h=v1;n=<null>; bad1", "3 k3 h=v3;n=<null>; bad3", "4 k4 h=v4;n=<null>; bad4"}));
    EXPECT_EQ(picky_->written, (std::vector<int64_t>{0, 2, 5}));
    EXPECT_EQ(worker_->snapshot().dead_letters, 3u);
}

INSTANTIATE_TEST_SUITE_P(Worker, RefusedAtOnce, ::testing::Values(1, 2, 100));

TEST_F(WorkerTest, ABatchOfNothingButRefusedRecordsMovesThePosition) {
    auto letters = std::make_shared<Letters>();
    start(std::make_unique<Picky>(100), letters);
    push({"bad", "bad"});
    EXPECT_EQ(until(Ack::Kind::given_back).front().offset, 7);
    EXPECT_EQ(letters->kept.size(), 2u);
    EXPECT_TRUE(picky_->written.empty());
}

TEST_F(WorkerTest, NothingIsAcknowledgedWhileDeadLettersCannotBeKept) {
    auto letters = std::make_shared<Letters>();
    letters->failures = 3;
    start(std::make_unique<Picky>(100), letters);
    push({"a", "bad"});
    // Told by whoever found out, so in no order with what the worker tells; but in order among themselves, and all before the batch is given back
    // or soon after.
    std::vector<Ack> acks = until(Ack::Kind::given_back);
    for (Ack ack; acks_.try_pop(ack);) acks.push_back(std::move(ack));
    std::vector<Ack::Kind> told;
    for (const auto& ack : acks) {
        if (std::string_view(ack.code) != "dead_letter_blocked") continue;
        told.push_back(ack.kind);
        if (ack.kind == Ack::Kind::retrying) {
            EXPECT_EQ(ack.text, "the topic is gone");
        }
    }
    using Kind = Ack::Kind;
    EXPECT_EQ(told, (std::vector<Kind>{Kind::retrying, Kind::retrying, Kind::retrying, Kind::recovered}));
    EXPECT_EQ(std::ranges::count(acks, Kind::durable, &Ack::kind), 1);
    EXPECT_EQ(letters->kept.size(), 1u);
}

TEST_F(WorkerTest, ARevokedPartitionDoesNotWaitForItsDeadLetters) {
    auto letters = std::make_shared<Letters>();
    letters->failures = -1;
    start(std::make_unique<Picky>(100), letters, {.initial = 10s, .max = 10s});
    push({"a", "bad"});
    until(Ack::Kind::retrying);
    assignment_->revoked = true;
    for (const auto& ack : until(Ack::Kind::given_back)) EXPECT_NE(ack.kind, Ack::Kind::durable);
    EXPECT_TRUE(letters->kept.empty());
}

TEST_F(WorkerTest, WithoutADestinationTheFirstRefusedRecordIsNamed) {
    start(std::make_unique<Picky>(100), nullptr);
    push({"a", "bad", "bad"});
    const auto text = until(Ack::Kind::failed).back().text;
    EXPECT_NE(text.find("offset 1 was refused: reason 1"), std::string::npos) << text;
    EXPECT_FALSE(worker_->keeps_refused());
}

TEST_F(WorkerTest, GivesUpOnlyWhenToldTo) {
    auto picky = std::make_unique<Picky>(1);
    picky->failures = 1'000'000;
    start(std::move(picky), nullptr, {.initial = 1ms, .max = 2ms, .jitter = 0, .give_up_after = 50ms});
    push({"a"});
    const auto acks = until(Ack::Kind::failed);
    EXPECT_GE(worker_->snapshot().retries, 2u) << "it has tried more than once";
    EXPECT_NE(acks.back().text.find("retry.give_up_after"), std::string::npos) << acks.back().text;
    EXPECT_NE(acks.back().text.find("the sink is away"), std::string::npos) << acks.back().text;
}

TEST_F(WorkerTest, ASuccessBetweenFailuresBeginsThePatienceAnew) {
    start(std::make_unique<Picky>(1), nullptr, {.give_up_after = 1ms});
    Acks& told_by_a_sink = *worker_;
    const auto failure = [&] {
        told_by_a_sink.retrying("the sink is away", std::chrono::system_clock::now());
        std::this_thread::sleep_for(2ms);
    };
    failure();
    told_by_a_sink.durable(assignment_, 1);
    failure();
    told_by_a_sink.recovered();
    for (const auto& ack : until(Ack::Kind::recovered)) EXPECT_NE(ack.kind, Ack::Kind::failed);
    failure();
    told_by_a_sink.retrying("the sink is away", std::chrono::system_clock::now());
    until(Ack::Kind::failed);
}

TEST(Receiver, OfWhatComesOutOfOrderTheLatestCounts) {
    Receiver receiver;
    EXPECT_TRUE(receiver.is_news({.kind = Ack::Kind::recovered, .turn = 2}));
    EXPECT_FALSE(receiver.is_news({.kind = Ack::Kind::retrying, .turn = 1}));
    EXPECT_TRUE(receiver.is_news({.kind = Ack::Kind::retrying, .code = "dead_letter_blocked", .turn = 1})) << "of another code";
    EXPECT_TRUE(receiver.is_news({.kind = Ack::Kind::retrying, .turn = 3}));
}

TEST(Backoff, DoublesUpToItsMaximumWithinItsJitter) {
    Backoff exact({.initial = 100ms, .max = 350ms, .jitter = 0});
    EXPECT_EQ(exact.next(), 100ms);
    EXPECT_EQ(exact.next(), 200ms);
    EXPECT_EQ(exact.next(), 350ms);
    EXPECT_EQ(exact.next(), 350ms);
    exact.reset();
    EXPECT_EQ(exact.next(), 100ms);

    std::set<int64_t> pauses;
    for (int i = 0; i < 200; i++) {
        Backoff wide({.initial = 1'000ms, .max = 1'000ms, .jitter = 0.2});
        const auto pause = wide.next();
        EXPECT_GE(pause, 800ms);
        EXPECT_LE(pause, 1'000ms);
        pauses.insert(pause.count());
    }
    EXPECT_GT(pauses.size(), 20u);
}

}  // namespace
}  // namespace fetcher
