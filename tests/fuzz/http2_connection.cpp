// Any bytes after HTTP/2's preface: no crash, no leak, nothing left behind. The first byte chooses
// how many bytes arrive at a time.

#include "tests/fuzz/http2_fixture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  static net::FuzzServer server;
  if (size < 1) return 0;
  const std::size_t slice_bytes = data[0] < 128 ? 1'000'000 : data[0] - 127U;
  const BytesView rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  server.serve(net::http2_hello() + Bytes(rest), slice_bytes);
  return 0;
}
