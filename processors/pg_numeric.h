// numeric in PostgreSQL's binary format, from decimal text: every digit is kept. No allocation for up to 16 digits before and after the point.
// Thread: any
#pragma once

#include <string_view>

#include "processors/byte_buffer.h"

namespace fetcher {

// "-12.340", "6.02e23", "NaN". False where it is no number, or has more than 4,000 digits.
bool append_numeric(std::string_view text, ByteBuffer& into);

}  // namespace fetcher
