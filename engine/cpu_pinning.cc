#include "engine/cpu_pinning.h"

#include <sched.h>

#include <atomic>
#include <optional>

namespace fetcher {
namespace {

thread_local std::optional<cpu_set_t> before_pinning;

}  // namespace

void pin_this_thread() {
    static std::atomic<int> turn{0};
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    const int cores = CPU_COUNT(&allowed);
    if (cores < 2) return;
    int skip = turn.fetch_add(1, std::memory_order_relaxed) % cores;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || skip-- > 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof one, &one) == 0 && !before_pinning) before_pinning = allowed;
        return;
    }
}

UnpinnedScope::UnpinnedScope() {
    if (!before_pinning || sched_getaffinity(0, sizeof pinned_, &pinned_) != 0) return;
    changed_ = sched_setaffinity(0, sizeof *before_pinning, &*before_pinning) == 0;
}

UnpinnedScope::~UnpinnedScope() {
    if (changed_) sched_setaffinity(0, sizeof pinned_, &pinned_);
}

}  // namespace fetcher
