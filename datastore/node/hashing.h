#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "datastore/mvcc/view.h"
#include "datastore/node/node.h"
#include "datastore/ports/kv_backend.h"

namespace holdfast::node {

/// Maintenance.Hash: CRC-32C over every bucket's name, keys and values in order, without the parts
/// of meta that differ between equal members. Fills `hash` only. Source: etcd-facts 3.7, end.
absl::StatusOr<HashResult> hash_all_buckets(ports::BackendRead& read);

/// Maintenance.HashKV at `revision` (0: the newest), to the end, on the calling thread.
/// Errors: compacted, future_revision, DataLoss.
absl::StatusOr<HashResult> hash_keys(const mvcc::ViewSource& views, std::int64_t revision);

}  // namespace holdfast::node
