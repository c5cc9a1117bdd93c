#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"

/// The two byte formats of etcd's `key` bucket, and nothing else: the revision that is the bucket's
/// key and the wire-encoded mvccpb.KeyValue that is its value (etcd-facts 3.4). Both are hashed, so
/// both are encoded here to the byte.
namespace holdfast::mvcc {

/// A position in the history: `sub` counts the changes of one main revision from 0.
struct BucketRevision {
  std::int64_t main = 0;
  std::int64_t sub = 0;

  friend constexpr auto operator<=>(const BucketRevision&, const BucketRevision&) = default;
};

/// Where a key stands at some revision; read from the index alone.
struct KeyPosition {
  std::int64_t create_revision = 0;
  BucketRevision mod_revision;
  std::int64_t version = 0;
};

/// What a key of the bucket says.
struct BucketKey {
  BucketRevision revision;
  bool tombstone = false;
};

inline constexpr std::size_t kRevisionKeyBytes = 17;
inline constexpr std::size_t kTombstoneKeyBytes = 18;

/// Writes main (8 bytes, big-endian), '_', sub (8 bytes, big-endian) and, for a tombstone, 't' to
/// `out`, which has room for kTombstoneKeyBytes. Returns the bytes written.
std::size_t encode_bucket_key(const BucketKey& key, char* out);

/// The same, owned.
class EncodedBucketKey {
 public:
  explicit EncodedBucketKey(const BucketKey& key) : size_(encode_bucket_key(key, bytes_.data())) {}
  BytesView view() const { return {bytes_.data(), size_}; }

 private:
  std::array<char, kTombstoneKeyBytes> bytes_;
  std::size_t size_;
};

/// Nothing if the bytes are not a bucket key: wrong length, separator, mark or a negative number.
std::optional<BucketKey> parse_bucket_key(BytesView bytes);

/// The same for bytes that the backend gave. Errors: DataLoss naming the entry and the remedy.
absl::StatusOr<BucketKey> stored_bucket_key(BytesView bytes);

/// A DataLoss error about one entry of the `key` bucket.
absl::Status damaged_entry(BytesView bucket_key, const char* what);

/// One mvccpb.KeyValue; the views point into the bytes it was parsed from.
struct KeyValueView {
  BytesView key;
  std::int64_t create_revision = 0;
  std::int64_t mod_revision = 0;
  std::int64_t version = 0;
  BytesView value;
  std::int64_t lease = 0;
};

/// Bytes that encode_key_value() will write.
std::size_t key_value_size(const KeyValueView& kv);

/// Writes fields 1 to 6 in ascending order, zero and empty ones omitted, to `out`, which has room
/// for key_value_size(kv). Returns the end of what was written.
char* encode_key_value(const KeyValueView& kv, char* out);

/// The same into a new string.
Bytes encode_key_value(const KeyValueView& kv);

/// The part of encode_key_value()'s bytes that is the key, which has `key_size` bytes.
BytesView key_within(BytesView encoded, std::size_t key_size);

/// Parses in any field order, skipping unknown fields. Empty bytes are the zero KeyValue (a restore
/// with a revision bump leaves such a value). Nothing if the bytes are malformed.
std::optional<KeyValueView> parse_key_value(BytesView bytes);

}  // namespace holdfast::mvcc
