#include <cstdio>
#include <cstdlib>

#include "engine/result.h"

namespace fetcher {

void invariant_broken(const char* file, int line, const char* what) {
    std::fprintf(stderr, "kafka-fetcher: invariant broken at %s:%d: %s\n", file, line, what);
    std::abort();
}

}  // namespace fetcher
