#pragma once

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "datastore/base/bytes.h"
#include "datastore/mvcc/key_value.h"

namespace holdfast::offline {

/// Holds each entry of the `key` bucket, given in the bucket's order, against the key's earlier
/// ones: it names its own revision, and its version goes on from the last one's. Memory: the live
/// keys.
class KeyHistories {
 public:
  /// Errors: DataLoss naming revision and key.
  absl::Status add(BytesView bucket_key, BytesView value);

  std::uint64_t entries() const { return entries_; }
  std::size_t live_keys() const { return last_.size(); }

 private:
  struct Last {
    std::int64_t create_revision = 0;
    std::int64_t version = 0;
  };

  absl::Status add_put(const mvcc::BucketRevision& at, const mvcc::KeyValueView& kv);

  std::uint64_t entries_ = 0;
  absl::flat_hash_map<Bytes, Last> last_;  // its order is never seen
};

}  // namespace holdfast::offline
