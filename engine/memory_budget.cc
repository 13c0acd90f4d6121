#include "engine/memory_budget.h"

#include <algorithm>

namespace fetcher {

MemoryBudget::Member::~Member() {
    release(bytes());
    budget_.members_.fetch_sub(1, std::memory_order_relaxed);
}

uint64_t MemoryBudget::Member::share_bytes() const {
    return budget_.limit_bytes_ / std::max(1u, budget_.members_.load(std::memory_order_relaxed));
}

bool MemoryBudget::Member::try_charge(uint64_t bytes) {
    const uint64_t mine = bytes_.load(std::memory_order_relaxed);
    if (mine > 0 && mine + bytes > share_bytes()) return false;
    charge(bytes);
    return true;
}

void MemoryBudget::Member::charge(uint64_t bytes) {
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    budget_.used_bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

void MemoryBudget::Member::release(uint64_t bytes) {
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    budget_.used_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

bool MemoryBudget::Member::over_share() const { return bytes() > share_bytes(); }

}  // namespace fetcher
