#pragma once

#include <cstdint>

#include "datastore/base/bytes.h"
#include "datastore/crypto/aead.h"
#include "datastore/wal/format.h"

namespace holdfast::wal {

/// The key of one sealed segment, and how its batches are sealed and opened: FORMAT.md, Sealed
/// segments. One thread at a time.
class SegmentSeal {
 public:
  static constexpr std::size_t kTagBytes = crypto::AeadContext::kTagBytes;

  /// `header`: the segment's kSegmentHeaderBytes, with a cipher.
  SegmentSeal(const crypto::SealingKey& key, BytesView header);

  /// Seals the `records_bytes` after the batch header at `batch` where they lie, and puts the tag
  /// after them. The header has all but its checksums; `offset` is the batch's in the segment. With
  /// the header's failed_writes it must name this batch only, ever.
  void seal(std::uint64_t offset, char* batch, std::size_t records_bytes);
  /// Opens what follows the batch header at `batch`, `sealed_bytes` with the tag, into `out`, which
  /// has kTagBytes less. False if it is not what was sealed there.
  bool open(std::uint64_t offset, const char* batch, std::size_t sealed_bytes, char* out);

 private:
  crypto::AeadContext cipher_;
};

/// The cipher of a new segment: `key`'s, with a salt that no segment had before.
SegmentCipher new_cipher(const crypto::SealingKey& key);

}  // namespace holdfast::wal
