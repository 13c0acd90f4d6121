// From errno to the Error a person reads.
// Thread: any
#pragma once

#include <string>

#include "engine/result.h"

namespace fetcher {

bool is_disk_full(int error_number);  // no room, or over quota: written later it succeeds

// what: "<doing what> <path>", as in "open /a/b.log"; error_number: positive.
Error file_error(int error_number, const std::string& what);

}  // namespace fetcher
