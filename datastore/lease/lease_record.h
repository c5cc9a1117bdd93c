#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"

/// What the `lease` bucket holds of one lease (etcd-facts 3.8). Which keys hang on it is not
/// stored: the live keys say so themselves.
namespace holdfast::lease {

struct LeaseRecord {
  LeaseId id;
  std::int64_t ttl_seconds = 0;
  /// What a checkpoint left of the TTL; 0 when there was none and the whole TTL counts.
  std::int64_t remaining_ttl_seconds = 0;

  friend bool operator==(const LeaseRecord&, const LeaseRecord&) = default;
};

/// The bucket's key: the ID as 8 big-endian bytes.
Bytes lease_key(LeaseId id);

/// The bucket's value: protobuf fields 1 ID, 2 TTL, 3 RemainingTTL as varints, ascending, zeros
/// omitted. These bytes are hashed, so they equal etcd's.
Bytes encode_lease(const LeaseRecord& record);

/// The inverse; fields of other numbers are skipped. Errors: DataLoss if `value` is not protobuf.
absl::StatusOr<LeaseRecord> decode_lease(BytesView value);

}  // namespace holdfast::lease
