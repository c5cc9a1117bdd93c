#include "datastore/wal/segment_seal.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"

namespace holdfast::wal {

namespace {

constexpr BytesView kPurpose = "segment";
/// Of the segment header: all that says what it is, up to the salt.
constexpr std::size_t kBoundHeaderBytes = 64;
/// Of the batch header: everything but the two checksums, which cover the sealed bytes.
constexpr std::size_t kBeforeRecordsCrc = 44;
constexpr std::size_t kFailedWritesAt = 48;
constexpr std::size_t kAssociatedBytes = kBeforeRecordsCrc + 4;

using Nonce = std::array<char, crypto::AeadContext::kNonceBytes>;
using Associated = std::array<char, kAssociatedBytes>;

Nonce nonce_of(std::uint64_t offset, const char* batch) {
  Nonce nonce;
  store_le64(nonce.data(), offset);
  std::copy_n(batch + kFailedWritesAt, 4, nonce.data() + 8);
  return nonce;
}

Associated associated_of(const char* batch) {
  Associated associated;
  std::copy_n(batch, kBeforeRecordsCrc, associated.data());
  std::copy_n(batch + kFailedWritesAt, 4, associated.data() + kBeforeRecordsCrc);
  return associated;
}

template <std::size_t kSize>
BytesView view(const std::array<char, kSize>& bytes) {
  return {bytes.data(), bytes.size()};
}

crypto::Key256 segment_key(const crypto::SealingKey& key, BytesView header) {
  const absl::StatusOr<SegmentHeader> decoded = decode_segment_header(header);
  HOLDFAST_CHECK(decoded.ok() && decoded->cipher);
  Bytes purpose(kPurpose);
  purpose.append(header.substr(0, kBoundHeaderBytes));
  return key.key.derive(view(decoded->cipher->salt), purpose);
}

}  // namespace

SegmentSeal::SegmentSeal(const crypto::SealingKey& key, BytesView header)
    : cipher_(segment_key(key, header)) {
}

void SegmentSeal::seal(std::uint64_t offset, char* batch, std::size_t records_bytes) {
  const Nonce nonce = nonce_of(offset, batch);
  const Associated associated = associated_of(batch);
  char* const records = batch + kBatchHeaderBytes;
  cipher_.seal(view(nonce), view(associated), {records, records_bytes}, records);
}

bool SegmentSeal::open(std::uint64_t offset, const char* batch, std::size_t sealed_bytes,
                       char* out) {
  const Nonce nonce = nonce_of(offset, batch);
  const Associated associated = associated_of(batch);
  return cipher_.open(view(nonce), view(associated), {batch + kBatchHeaderBytes, sealed_bytes},
                      out);
}

SegmentCipher new_cipher(const crypto::SealingKey& key) {
  SegmentCipher cipher;
  cipher.key_id = key.id;
  const Bytes salt = crypto::random_bytes(cipher.salt.size());
  std::copy(salt.begin(), salt.end(), cipher.salt.begin());
  return cipher;
}

}  // namespace holdfast::wal
