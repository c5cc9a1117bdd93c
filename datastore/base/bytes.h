#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace holdfast {

/// Borrowed bytes. Whoever hands them out says how long they live.
using BytesView = std::string_view;
/// Owned bytes.
using Bytes = std::string;

/// Fixed-width integers at p, of which the caller guarantees the width; no alignment is asked.
inline void store_be64(char* p, std::uint64_t v) {
  v = __builtin_bswap64(v);
  std::memcpy(p, &v, sizeof v);
}
inline std::uint64_t load_be64(const char* p) {
  std::uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap64(v);
}
inline void store_le64(char* p, std::uint64_t v) {
  std::memcpy(p, &v, sizeof v);
}
inline std::uint64_t load_le64(const char* p) {
  std::uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store_le32(char* p, std::uint32_t v) {
  std::memcpy(p, &v, sizeof v);
}
inline std::uint32_t load_le32(const char* p) {
  std::uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store_be32(char* p, std::uint32_t v) {
  store_le32(p, __builtin_bswap32(v));
}
inline std::uint32_t load_be32(const char* p) {
  return __builtin_bswap32(load_le32(p));
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "holdfast runs on little-endian machines");

}  // namespace holdfast
