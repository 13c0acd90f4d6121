// Which points of an exhaustive test are tried: all, unless FETCHER_TEST_EVERY=N asks for each N-th. The release build tries them all; the sanitizers,
// ten times as slow and in search of other mistakes, are content with a share (CMakePresets.json).
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace fetcher {

inline uint64_t point_step() {
    static const char* const told = std::getenv("FETCHER_TEST_EVERY");
    static const uint64_t step = told ? std::stoull(told) : 1;
    return step == 0 ? 1 : step;
}

// The first of those from 0 on; add what the test counts from. `test`: tests that differ in their setup alone try different points.
inline uint64_t first_point(std::string_view test) {
    uint64_t sum = 0;
    for (const char c : test) sum += static_cast<unsigned char>(c);
    return sum % point_step();
}

}  // namespace fetcher
