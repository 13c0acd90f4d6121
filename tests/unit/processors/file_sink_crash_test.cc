// Kills the process, cuts the power, or lets a call fail, at every single system call (points.h: or a share of them), and judges what is left.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "points.h"
#include "sink_world.h"

namespace fetcher {
namespace {

struct Crash {
    const char* name;
    SinkWorld::Setup setup;
};

void PrintTo(const Crash& crash, std::ostream* out) { *out << crash.name; }

std::vector<Crash> setups() {
    std::vector<Crash> all;
    all.push_back({"plain", {}});
    all.push_back({"rotated", {.rotate_bytes = 700}});
    all.push_back({"rotated_per_record", {.rotate_bytes = 1, .partitions = 1, .records = 8}});
    all.push_back({"ndjson_rotated", {.format = {Framing::ndjson, Compression::none}, .rotate_bytes = 3000}});
    all.push_back({"zstd", {.format = {Framing::raw, Compression::zstd}}});
    all.push_back({"zstd_rotated", {.format = {Framing::ndjson, Compression::zstd}, .rotate_bytes = 600}});
    all.push_back({"unflushed", {.flush_every = 0}});
    // Does not fit into the first slots: the checkpoint grows when the partitions come.
    all.push_back({"grown_checkpoint", {.group = std::string(3500, 'g'), .records = 20}});
    return all;
}

uint64_t calls_of_a_life(const SinkWorld::Setup& setup) {
    SinkWorld world(setup);
    EXPECT_EQ(world.live(), std::nullopt);
    EXPECT_EQ(world.is_complete(), std::nullopt);
    return world.disk.calls_made();
}

enum class Loss { nothing, some, all_unsynced };

void restart(SimDisk& disk, Loss loss, uint32_t seed) {
    if (loss == Loss::nothing) {
        disk.restart_process();
    } else {
        disk.restart_machine(seed, loss == Loss::all_unsynced);
    }
}

// Dies at the n-th call, is restarted, judged, and completes.
void die_once(const SinkWorld::Setup& setup, uint64_t n, Loss loss, uint32_t seed) {
    SinkWorld world(setup);
    world.disk.die_at_call(n);
    world.live();
    ASSERT_TRUE(world.disk.is_dead());
    restart(world.disk, loss, seed);
    ASSERT_EQ(world.audit(), std::nullopt);
    ASSERT_EQ(world.live(), std::nullopt);
    ASSERT_EQ(world.is_complete(), std::nullopt);
}

class FileSinkCrash : public testing::TestWithParam<Crash> {};

TEST_P(FileSinkCrash, KillAtEveryCallLeavesAnExactPrefix) {
    const uint64_t calls = calls_of_a_life(GetParam().setup);
    for (uint64_t n = 1 + first_point(GetParam().name); n <= calls; n += point_step()) {
        SCOPED_TRACE("killed at call " + std::to_string(n) + " of " + std::to_string(calls));
        die_once(GetParam().setup, n, Loss::nothing, 0);
        if (HasFatalFailure()) return;
    }
}

TEST_P(FileSinkCrash, PowerCutAtEveryCallLeavesAnExactPrefix) {
    const uint64_t calls = calls_of_a_life(GetParam().setup);
    for (uint64_t n = 1 + first_point(GetParam().name); n <= calls; n += point_step()) {
        for (uint32_t seed = 0; seed < 6; seed++) {
            SCOPED_TRACE("power lost at call " + std::to_string(n) + " of " + std::to_string(calls) + ", seed " + std::to_string(seed));
            die_once(GetParam().setup, n, seed == 0 ? Loss::all_unsynced : Loss::some, seed);
            if (HasFatalFailure()) return;
        }
    }
}

// The process is killed (so its writes are still in the page cache), started again, and then the power goes during its recovery.
TEST_P(FileSinkCrash, PowerCutDuringTheRecoveryFromAKillLeavesAnExactPrefix) {
    const uint64_t calls = calls_of_a_life(GetParam().setup);
    constexpr uint64_t kRecoveryCalls = 60;
    // Long lives repeat themselves: each death is combined with fewer second ones.
    const uint64_t step = 1 + calls / 40;
    for (uint64_t n = 1 + first_point(GetParam().name); n <= calls; n += point_step()) {
        for (uint64_t m = 1 + n % step; m <= kRecoveryCalls; m += step) {
            SCOPED_TRACE("killed at call " + std::to_string(n) + ", power lost at call " + std::to_string(m) + " after that");
            SinkWorld world(GetParam().setup);
            world.disk.die_at_call(n);
            world.live();
            world.disk.restart_process();
            world.disk.die_at_call(m);
            world.live();
            restart(world.disk, m % 4 == 0 ? Loss::all_unsynced : Loss::some, static_cast<uint32_t>(n * 1000 + m));
            ASSERT_EQ(world.audit(), std::nullopt);
            ASSERT_EQ(world.live(), std::nullopt);
            ASSERT_EQ(world.is_complete(), std::nullopt);
        }
    }
}

TEST_P(FileSinkCrash, AnErrorOfAnyCallLosesAndDoublesNothing) {
    const uint64_t calls = calls_of_a_life(GetParam().setup);
    for (const int error : {EIO, ENOSPC, EACCES}) {
        for (uint64_t n = 1 + first_point(GetParam().name); n <= calls; n += point_step()) {
            SCOPED_TRACE("call " + std::to_string(n) + " failed with " + std::strerror(error));
            SinkWorld world(GetParam().setup);
            world.disk.fail_call(n, error);
            if (!world.live()) {  // it overcame the error
                ASSERT_EQ(world.is_complete(), std::nullopt);
            }
            // The consumer starts again in the same process; then, to see what was really safe, the power goes.
            world.disk.restart_process();
            ASSERT_EQ(world.audit(), std::nullopt);
            world.disk.restart_machine(static_cast<uint32_t>(n), true);
            ASSERT_EQ(world.audit(), std::nullopt);
            ASSERT_EQ(world.live(), std::nullopt);
            ASSERT_EQ(world.is_complete(), std::nullopt);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Setups, FileSinkCrash, testing::ValuesIn(setups()),
                         [](const auto& crash) { return std::string(crash.param.name); });

// With the sync thread at work the order of calls is not fixed: many seeds in place of every call.
TEST(FileSinkCrashAtRandom, PowerCutWhileTheSyncThreadIsAtWorkLeavesAnExactPrefix) {
    SinkWorld::Setup setup{.rotate_bytes = 2000, .fsync_interval = std::chrono::milliseconds(0), .records = 200, .flush_every = 20};
    for (uint32_t seed = 1; seed <= 300; seed++) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        SinkWorld world(setup);
        world.disk.die_at_call(1 + (seed * 7919U) % 500);
        world.live();
        world.disk.restart_machine(seed, seed % 5 == 0);
        ASSERT_EQ(world.audit(), std::nullopt);
        ASSERT_EQ(world.live(), std::nullopt);
        ASSERT_EQ(world.is_complete(), std::nullopt);
    }
}

}  // namespace
}  // namespace fetcher
