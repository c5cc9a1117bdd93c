#include "datastore/crypto/wrapped_key.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "datastore/base/crc32c.h"
#include "datastore/crypto/aead.h"

namespace holdfast::crypto {

namespace {

constexpr BytesView kMagic = "HOLDFKEY";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kCipherAes256Gcm = 1;
constexpr std::uint32_t kAllSealed = 1;
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kCipherAt = 12;
constexpr std::size_t kWrappedByAt = 16;
constexpr std::size_t kDataKeyIdAt = 32;
constexpr std::size_t kStateAt = 48;
constexpr std::size_t kNonceAt = 52;
constexpr std::size_t kSealedAt = kNonceAt + AeadContext::kNonceBytes;
constexpr std::size_t kSealedBytes = Key256::kBytes + AeadContext::kTagBytes;
constexpr std::size_t kCrcAt = kSealedAt + kSealedBytes;
static_assert(kCrcAt + 4 == kWrappedKeyBytes);

KeyId id_at(BytesView record, std::size_t at) {
  KeyId id;
  record.copy(id.data(), id.size(), at);
  return id;
}

absl::Status damaged(const std::string& path, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat(path, ": ", what,
                   ". Nothing was changed. Put this file back from a copy of the data directory; "
                   "without it nobody can read the rest: then remove this member from its cluster "
                   "and add it anew, or restore a snapshot"));
}

absl::Status check_form(BytesView record, const std::string& path) {
  if (record.size() < kVersionAt + 4 || record.substr(0, kMagic.size()) != kMagic) {
    return damaged(path, "is no key record, or was cut off");
  }
  if (const std::uint32_t version = load_le32(record.data() + kVersionAt); version != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": has format ", version, ", this release reads ", kVersion,
                     "; start the release that wrote it, or a later one"));
  }
  if (record.size() != kWrappedKeyBytes ||
      load_le32(record.data() + kCrcAt) != crc32c(0, record.substr(0, kCrcAt))) {
    return damaged(path, "has a wrong checksum or length");
  }
  if (const std::uint32_t cipher = load_le32(record.data() + kCipherAt);
      cipher != kCipherAes256Gcm) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": uses cipher ", cipher,
                     ", which this release does not know; start the release that wrote it"));
  }
  return absl::OkStatus();
}

absl::Status no_key_fits(const KeyId& needed, absl::Span<const Key256> keys,
                         const std::string& path) {
  const std::string has = absl::StrJoin(keys, ", ", [](std::string* out, const Key256& key) {
    absl::StrAppend(out, short_hex(key.id()));
  });
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": the data directory is encrypted, and its key was sealed by key ",
                   short_hex(needed), ", but --encryption-key-file holds only ", has,
                   ". Nothing was changed. Put that key back into the file, on a line after the "
                   "first if another "
                   "is to replace it"));
}

}  // namespace

Bytes wrap_key(const DirectoryKey& key, const Key256& by) {
  Bytes record(kWrappedKeyBytes, '\0');
  char* out = record.data();
  std::copy(kMagic.begin(), kMagic.end(), out);
  store_le32(out + kVersionAt, kVersion);
  store_le32(out + kCipherAt, kCipherAes256Gcm);
  view_of(by.id()).copy(out + kWrappedByAt, sizeof(KeyId));
  view_of(key.data_key.id()).copy(out + kDataKeyIdAt, sizeof(KeyId));
  store_le32(out + kStateAt, key.all_sealed ? kAllSealed : 0);
  random_bytes(AeadContext::kNonceBytes).copy(out + kNonceAt, AeadContext::kNonceBytes);
  const BytesView view(record);
  AeadContext(by).seal(view.substr(kNonceAt, AeadContext::kNonceBytes), view.substr(0, kNonceAt),
                       key.data_key.bytes(), out + kSealedAt);
  store_le32(out + kCrcAt, crc32c(0, view.substr(0, kCrcAt)));
  return record;
}

absl::StatusOr<UnwrappedKey> unwrap_key(BytesView record, absl::Span<const Key256> keys,
                                        const std::string& path) {
  if (absl::Status status = check_form(record, path); !status.ok()) return status;
  const KeyId wrapped_by = id_at(record, kWrappedByAt);
  const auto by = std::find_if(keys.begin(), keys.end(),
                               [&](const Key256& key) { return key.id() == wrapped_by; });
  if (by == keys.end()) return no_key_fits(wrapped_by, keys, path);
  char opened[Key256::kBytes];
  const bool good = AeadContext(*by).open(record.substr(kNonceAt, AeadContext::kNonceBytes),
                                          record.substr(0, kNonceAt),
                                          record.substr(kSealedAt, kSealedBytes), opened);
  if (!good) return damaged(path, "is not what key " + short_hex(wrapped_by) + " sealed");
  const bool all_sealed = load_le32(record.data() + kStateAt) == kAllSealed;
  UnwrappedKey unwrapped{{Key256({opened, sizeof opened}), all_sealed}, wrapped_by};
  OPENSSL_cleanse(opened, sizeof opened);
  if (unwrapped.key.data_key.id() == id_at(record, kDataKeyIdAt)) return unwrapped;
  return damaged(path, "holds another key than it says");
}

}  // namespace holdfast::crypto
