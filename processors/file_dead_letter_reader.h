// Reads dead letters back from a file that file_dead_letters.h writes. What is no such line is passed over; no file is an empty one.
#pragma once

#include <memory>

#include "engine/dead_letter.h"
#include "processors/path_template.h"
#include "processors/system_calls.h"

namespace fetcher {

std::unique_ptr<DeadLetterReader> make_file_dead_letter_reader(RootedPath path, SystemCalls& calls);

}  // namespace fetcher
