#pragma once

#include <cstdint>

#include "datastore/base/bytes.h"

namespace holdfast {

/// CRC-32C (Castagnoli) of `data`, continuing from `crc`, which is 0 at the start. Chaining two
/// calls equals one call over the concatenation, as Go's crc32.Update has it.
std::uint32_t crc32c(std::uint32_t crc, BytesView data);

}  // namespace holdfast
