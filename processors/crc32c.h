// CRC-32C (Castagnoli), for small things: a checkpoint, a file's last page.
// Thread: any
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fetcher {

uint32_t crc32c(std::string_view bytes);

// Eight lower-case hexadecimal digits.
std::string hex32(uint32_t value);

}  // namespace fetcher
