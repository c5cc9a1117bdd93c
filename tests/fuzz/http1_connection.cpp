// Any bytes from a new connection, which decide the protocol themselves. The first byte chooses how
// many arrive at a time.

#include "tests/fuzz/http2_fixture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  static net::FuzzServer server;
  if (size < 1) return 0;
  const std::size_t slice_bytes = data[0] < 128 ? 1'000'000 : data[0] - 127U;
  server.serve(BytesView(reinterpret_cast<const char*>(data) + 1, size - 1), slice_bytes);
  return 0;
}
