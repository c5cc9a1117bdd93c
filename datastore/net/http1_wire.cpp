#include "datastore/net/http1_wire.h"

#include <array>
#include <charconv>
#include <string_view>

namespace holdfast::net {

void append_chunk(OutputQueue& output, Slice piece) {
  std::array<char, 16> digits;
  char* const begin = digits.data();
  const char* const end = std::to_chars(begin, begin + digits.size(), piece.bytes.size(), 16).ptr;
  output.append(BytesView(begin, static_cast<std::size_t>(end - begin)));
  output.append(BytesView("\r\n"));
  output.append(std::move(piece));
  output.append(BytesView("\r\n"));
}

}  // namespace holdfast::net
