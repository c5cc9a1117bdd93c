#include "datastore/codec/wire.h"

namespace holdfast::codec {
namespace {

// Groups are a wire type that no message of ours uses; an unknown field may still be one.
constexpr int kMaxGroupDepth = 64;

}  // namespace

std::uint64_t WireReader::long_varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (cursor_ == end_) {
      fail("ends inside a number");
      return 0;
    }
    const std::uint64_t byte = static_cast<unsigned char>(*cursor_++);
    if (shift == 63 && byte > 1) break;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail("number longer than 64 bits");
  return 0;
}

void WireReader::skip() {
  std::uint32_t open_groups[kMaxGroupDepth];
  int depth = 0;
  do {
    switch (static_cast<WireType>(tag_ & 7)) {
      case WireType::kVarint:
        varint();
        break;
      case WireType::kFixed64:
      case WireType::kFixed32: {
        const std::ptrdiff_t width = (tag_ & 7) == 1 ? 8 : 4;
        if (end_ - cursor_ < width) return fail("ends inside a fixed-width number");
        cursor_ += width;
        break;
      }
      case WireType::kBytes:
        bytes();
        break;
      case WireType::kGroupStart:
        if (depth == kMaxGroupDepth) return fail("groups nested too deeply");
        open_groups[depth++] = field();
        break;
      case WireType::kGroupEnd:
        if (depth == 0 || open_groups[depth - 1] != field())
          return fail("unmatched end of a group");
        --depth;
        break;
      default:
        return fail("unknown wire type");
    }
    if (depth > 0 && !next()) return fail("ends inside a group");
  } while (depth > 0 && !failed());
}

absl::Status WireReader::failure(const char* message) const {
  return absl::InvalidArgumentError(absl::StrCat(message, ": field ", tag_ >> 3, ": ", error_));
}

}  // namespace holdfast::codec
