#include "engine/doorbell.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace fetcher {
namespace {

using namespace std::chrono_literals;

TEST(Doorbell, ARingBeforeTheWaitIsNotLost) {
    Doorbell bell;
    bell.ring();
    const auto begin = std::chrono::steady_clock::now();
    bell.wait_until(begin + 20s);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST(Doorbell, GivesUpAtTheDeadline) {
    Doorbell bell;
    bell.wait_until(std::chrono::steady_clock::now() + 1ms);
    bell.wait_until(std::chrono::steady_clock::now() - 1s);
}

// Two threads take turns through two doorbells: a single lost ring would make a turn wait for its whole deadline.
TEST(DoorbellStress, NoRingIsEverLost) {
    Doorbell ping;
    Doorbell pong;
    std::atomic<int> turn{0};
    constexpr int kTurns = 20'000;
    const auto play = [&](int mine, Doorbell& my_bell, Doorbell& their_bell) {
        for (int i = 0; i < kTurns; i++) {
            const auto deadline = std::chrono::steady_clock::now() + 10s;
            while (turn.load() % 2 != mine) {
                ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "a ring was lost";
                my_bell.wait_until(deadline);
            }
            turn.fetch_add(1);
            their_bell.ring();
        }
    };
    std::thread other([&] { play(1, pong, ping); });
    play(0, ping, pong);
    other.join();
    EXPECT_EQ(turn.load(), 2 * kTurns);
}

}  // namespace
}  // namespace fetcher
