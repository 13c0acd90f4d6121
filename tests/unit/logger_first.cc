// The log exists before any thread, as main.cc sees to in the server: its library makes it at first use behind a guard that ThreadSanitizer
// cannot see, and would report two threads that log for the first time at once.
#include <spdlog/spdlog.h>

namespace {

[[maybe_unused]] const auto first = spdlog::default_logger();

}  // namespace
