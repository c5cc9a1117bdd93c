#include "datastore/net/gzip.h"

#include <zlib.h>

#include <algorithm>

#include "datastore/base/check.h"
#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

constexpr int kGzipWindowBits = 15 + 16;  // zlib: +16 selects the gzip format

Bytef* in(BytesView bytes) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // zlib only reads it
}

/// An inflating stream, ended with its scope.
struct Inflater {
  z_stream stream{};
  Inflater() { HOLDFAST_CHECK(inflateInit2(&stream, kGzipWindowBits) == Z_OK); }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

}  // namespace

Bytes gzip(BytesView bytes) {
  z_stream stream{};
  constexpr int kMemoryLevel = 8;
  HOLDFAST_CHECK(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindowBits, kMemoryLevel,
                              Z_DEFAULT_STRATEGY) == Z_OK);
  Bytes packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = in(bytes);
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  HOLDFAST_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

absl::StatusOr<Bytes> gunzip(BytesView packed, std::size_t max_bytes) {
  constexpr std::size_t kFirstBytes = 4096;
  Inflater inflater;
  z_stream& stream = inflater.stream;
  stream.next_in = in(packed);
  stream.avail_in = static_cast<uInt>(packed.size());
  Bytes out;
  std::size_t size = 0;
  // One byte past the limit tells "just fits" from "too large".
  while (true) {
    if (size == out.size()) out.resize(std::min(std::max(kFirstBytes, size * 2), max_bytes + 1));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + size);
    stream.avail_out = static_cast<uInt>(out.size() - size);
    const int result = inflate(&stream, Z_NO_FLUSH);
    size = out.size() - stream.avail_out;
    if (size > max_bytes) {
      return absl::ResourceExhaustedError(
          concat("grpc: received message after decompression larger than max ", max_bytes));
    }
    if (result == Z_STREAM_END) {
      if (stream.avail_in == 0) break;
      if (inflateReset(&stream) != Z_OK) break;  // another member follows
    } else if (result != Z_OK) {
      const bool cut_short = result == Z_BUF_ERROR;
      return absl::InternalError(concat("grpc: failed to decompress the message: ",
                                        cut_short ? "unexpected EOF" : "gzip: invalid data"));
    }
  }
  out.resize(size);
  return out;
}

}  // namespace holdfast::net
