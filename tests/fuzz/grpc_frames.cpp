// Any bytes as the body of a well-formed gRPC request. The first byte chooses method and encoding,
// the second the size of the DATA frames.

#include <algorithm>

#include "tests/fuzz/http2_fixture.h"

namespace {

/// A literal header without indexing, by name.
holdfast::Bytes literal(std::string_view name, std::string_view value) {
  holdfast::Bytes out(1, '\0');
  out += static_cast<char>(name.size());
  out += name;
  out += static_cast<char>(value.size());
  out += value;
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  static net::FuzzServer server;
  if (size < 2) return 0;
  const char* const paths[] = {"/u/u", "/s/s", "/b/b", "/x/x"};
  const bool gzip = (data[0] & 4) != 0;
  Bytes headers = "\x83\x86\x01\x01h";  // POST, http, authority h
  headers += literal(":path", paths[data[0] & 3]) + literal("content-type", "application/grpc");
  if (gzip) headers += literal("grpc-encoding", "gzip");
  const std::size_t frame_bytes = std::size_t{data[1]} * 16 + 1;
  BytesView body(reinterpret_cast<const char*>(data) + 2, size - 2);

  Bytes input = net::http2_hello() + net::http2_frame(1, 4, 1, headers);
  do {
    const std::size_t n = std::min(frame_bytes, body.size());
    const char end_stream = n == body.size() ? 1 : 0;
    input += net::http2_frame(0, end_stream, 1, body.substr(0, n));
    body.remove_prefix(n);
  } while (!body.empty());
  server.serve(input, 1'000'000);
  return 0;
}
