#pragma once

#include <cstdint>

#include "datastore/base/bytes.h"

/// The bytes of a bbolt file, as far as reader and writer share them. Source: etcd-facts 5.5. All
/// integers are little-endian.
namespace holdfast::storage::bbolt {

inline constexpr std::uint32_t kMagic = 0xED0CDAED;
inline constexpr std::uint32_t kVersion = 2;

// Page header: u64 id, u16 flags, u16 count, u32 overflow (further contiguous pages).
inline constexpr std::size_t kPageHeaderBytes = 16;
inline constexpr std::uint16_t kBranchPage = 0x01;
inline constexpr std::uint16_t kLeafPage = 0x02;
inline constexpr std::uint16_t kMetaPage = 0x04;
inline constexpr std::uint16_t kFreelistPage = 0x10;
/// Elements of one page; 0xFFFF has another meaning in free lists.
inline constexpr std::size_t kMaxPageElements = 0xFFFE;

// Branch element: u32 pos, u32 ksize, u64 child. Leaf element: u32 flags, u32 pos, u32 ksize,
// u32 vsize. pos counts from the element's own address.
inline constexpr std::size_t kElementBytes = 16;
inline constexpr std::uint32_t kBucketElement = 1;

// A bucket's value: u64 root page (0: an inline leaf page follows), u64 sequence.
inline constexpr std::size_t kBucketHeaderBytes = 16;
inline constexpr std::size_t kMaxKeyBytes = 32768;

// Meta, after the page header: u32 magic, u32 version, u32 page size, u32 flags, u64 root page,
// u64 sequence, u64 free list page, u64 high water, u64 transaction, u64 checksum.
inline constexpr std::size_t kMetaBytes = 64;
inline constexpr std::size_t kMetaChecksumAt = 56;

struct PageHeader {
  std::uint64_t id = 0;
  std::uint16_t flags = 0;
  std::uint16_t count = 0;
  std::uint32_t overflow = 0;
};

inline void store_le16(char* p, std::uint16_t v) {
  std::memcpy(p, &v, sizeof v);
}
inline std::uint16_t load_le16(const char* p) {
  std::uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void store_page_header(char* p, const PageHeader& header) {
  store_le64(p, header.id);
  store_le16(p + 8, header.flags);
  store_le16(p + 10, header.count);
  store_le32(p + 12, header.overflow);
}
inline PageHeader load_page_header(const char* p) {
  return {load_le64(p), load_le16(p + 8), load_le16(p + 10), load_le32(p + 12)};
}

/// FNV-1a, 64 bits: the meta's checksum, over the bytes before it.
inline std::uint64_t fnv1a(BytesView data) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : data) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

}  // namespace holdfast::storage::bbolt
