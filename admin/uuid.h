// Thread: any
#pragma once

#include <string>

namespace fetcher {

std::string new_uuid();  // version 4, from the kernel's random source

}  // namespace fetcher
