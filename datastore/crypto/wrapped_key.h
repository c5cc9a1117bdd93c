#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/crypto/key256.h"

/// A data directory's own key, sealed by a wrapping key: what `<data-dir>/member/keys` holds, byte
/// for byte as FORMAT.md has it. Pure.
namespace holdfast::crypto {

inline constexpr std::size_t kWrappedKeyBytes = 116;

/// What the record says.
struct DirectoryKey {
  Key256 data_key;
  /// Nothing that was written before the directory had a key is left in it, nor may be.
  bool all_sealed = false;
};

/// `key` sealed by `by`, with a nonce of its own: no two calls answer the same.
Bytes wrap_key(const DirectoryKey& key, const Key256& by);

struct UnwrappedKey {
  DirectoryKey key;
  /// Of the key that opened it.
  KeyId wrapped_by;
};

/// Opens `record` with whichever of `keys` it was sealed by. `path` is the record's, for messages.
/// Errors: FailedPrecondition if none of them is, naming the one needed, or for a newer format;
/// DataLoss if the record was changed or cut off.
absl::StatusOr<UnwrappedKey> unwrap_key(BytesView record, absl::Span<const Key256> keys,
                                        const std::string& path);

}  // namespace holdfast::crypto
