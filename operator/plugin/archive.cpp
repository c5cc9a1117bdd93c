#include "operator/plugin/archive.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/strings/str_format.h"
#include "operator/api/text.h"

namespace holdfast::plugin {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kMaxPath = 99;
/// Of deflateInit2: the largest window, and 16 for gzip's frame.
constexpr int kGzipWindow = 15 + 16;

using Header = std::array<char, kBlock>;

void put(Header& header, std::size_t at, std::string_view text) {
  std::copy(text.begin(), text.end(), header.begin() + static_cast<std::ptrdiff_t>(at));
}

/// Source: POSIX.1-1988 ustar; offsets in bytes.
Header header_of(std::string_view path, std::size_t size, absl::Time time) {
  Header header{};
  put(header, 0, path);
  put(header, 100, "0000644");
  put(header, 108, "0000000");
  put(header, 116, "0000000");
  put(header, 124, absl::StrFormat("%011o", size));
  put(header, 136, absl::StrFormat("%011o", absl::ToUnixSeconds(time)));
  put(header, 148, "        ");  // the checksum is taken with blanks in its place
  put(header, 156, "0");
  put(header, 257, "ustar");
  put(header, 263, "00");
  unsigned sum = 0;
  for (const char each : header) sum += static_cast<unsigned char>(each);
  put(header, 148, absl::StrFormat("%06o", sum));
  header[154] = '\0';
  return header;
}

}  // namespace

absl::Status Archive::add(std::string_view path, std::string_view content) {
  if (path.empty() || path.size() > kMaxPath) {
    return absl::InvalidArgumentError(api::str_cat("a path of ", path.size(), " bytes"));
  }
  if (tar_.size() + content.size() > kMaxBytes) {
    return absl::ResourceExhaustedError("the report would be larger than 256 MiB");
  }
  const Header header = header_of(path, content.size(), time_);
  tar_.append(header.data(), header.size());
  tar_.append(content);
  tar_.append((kBlock - content.size() % kBlock) % kBlock, '\0');
  return absl::OkStatus();
}

absl::StatusOr<std::string> Archive::finish() {
  tar_.append(2 * kBlock, '\0');
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, 8,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return absl::InternalError("zlib cannot begin");
  }
  std::string out(deflateBound(&stream, tar_.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(tar_.data());
  stream.avail_in = static_cast<uInt>(tar_.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int ended = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (ended != Z_STREAM_END) return absl::InternalError("zlib did not come to its end");
  return out;
}

}  // namespace holdfast::plugin
