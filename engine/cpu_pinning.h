// Pins the calling thread to one core of the process's cpuset, the next one in turn at each call.
// Thread: any
#pragma once

namespace fetcher {

void pin_this_thread();

}  // namespace fetcher
