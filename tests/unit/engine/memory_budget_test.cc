#include "engine/memory_budget.h"

#include <gtest/gtest.h>

#include <vector>

#include "engine/batch_pool.h"

namespace fetcher {
namespace {

TEST(MemoryBudget, AMemberStopsAtItsShareAndTheOthersKeepTheirs) {
    MemoryBudget budget(1'000);
    MemoryBudget::Member stuck(budget);
    MemoryBudget::Member other(budget);
    EXPECT_TRUE(stuck.try_charge(500));
    EXPECT_FALSE(stuck.try_charge(1));
    EXPECT_TRUE(other.try_charge(500));
    EXPECT_EQ(budget.used_bytes(), 1'000u);
    stuck.release(500);
    EXPECT_TRUE(stuck.try_charge(400));
}

TEST(MemoryBudget, WhatAMemberHeldIsFreeWhenItGoes) {
    MemoryBudget budget(1'000);
    {
        MemoryBudget::Member member(budget);
        member.charge(800);
        EXPECT_EQ(budget.used_bytes(), 800u);
    }
    EXPECT_EQ(budget.used_bytes(), 0u);
}

TEST(BatchPool, AlwaysHasOneBatchHoweverSmallTheBudget) {
    MemoryBudget budget(1);
    MemoryBudget::Member member(budget);
    member.charge(10);  // prefetch
    BatchPool pool(member);
    Batch* only = pool.try_take();
    ASSERT_NE(only, nullptr);
    EXPECT_EQ(pool.try_take(), nullptr);
    pool.put_unused(only);
    EXPECT_EQ(pool.try_take(), only);
    pool.put_unused(only);
}

TEST(BatchPool, ChargesWhatItHoldsAndGivesItBack) {
    MemoryBudget budget(64 << 20);
    {
        MemoryBudget::Member member(budget);
        BatchPool pool(member);
        std::vector<Batch*> taken;
        while (Batch* batch = pool.try_take()) taken.push_back(batch);
        EXPECT_EQ(taken.size(), BatchPool::kMaxBatches);
        uint64_t held = 0;
        for (const Batch* batch : taken) held += batch->capacity_bytes();
        EXPECT_EQ(member.bytes(), held);
        for (Batch* batch : taken) pool.put(batch);
    }
    EXPECT_EQ(budget.used_bytes(), 0u);
}

}  // namespace
}  // namespace fetcher
