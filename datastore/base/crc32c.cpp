#include "datastore/base/crc32c.h"

#include <isa-l/crc.h>

namespace holdfast {

namespace {
// ISA-L takes the length as int.
constexpr std::size_t kMaxPiece = std::size_t{1} << 30;
}  // namespace

std::uint32_t crc32c(std::uint32_t crc, BytesView data) {
  // ISA-L works on the register before the final inversion; ours is the value after it.
  std::uint32_t state = ~crc;
  while (!data.empty()) {
    const BytesView piece = data.substr(0, kMaxPiece);
    // The parameter is not const, but ISA-L only reads.
    auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(piece.data()));
    state = crc32_iscsi(bytes, static_cast<int>(piece.size()), state);
    data.remove_prefix(piece.size());
  }
  return ~state;
}

}  // namespace holdfast
