#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "datastore/statemachine/command.h"

/// What etcd refuses at the door, before a request becomes a log entry: apply never repeats it
/// (etcd-facts 3.2). Pure; the first failing check decides, in etcd's order.
namespace holdfast::statemachine {

inline constexpr std::size_t kDefaultMaxTxnOps = 128;

/// Errors: empty_key; invalid_sort_option for an order or target etcd does not know.
absl::Status check_range(const RangeRequest& request);

/// The same for RangeStream. Errors: check_range's; Unimplemented for an order other than by
/// ascending key, and for revision filters.
absl::Status check_range_stream(const RangeRequest& request);

/// Errors: empty_key, value_provided, lease_provided.
absl::Status check_put(const PutRequest& request);

/// Errors: empty_key.
absl::Status check_delete(const DeleteRangeRequest& request);

/// Errors: too_many_ops when the longest of compares, then and else exceeds `max_ops` (a nested
/// transaction may use what its parent's longest left over), empty_key, those of the operations,
/// key_not_found for an operation that is none, and then, over the whole, duplicate_key.
///
/// A key may be put once, and not where the same transaction deletes, except that the branches of a
/// nested transaction may overlap each other. A delete from a key to the end of all keys counts as
/// empty here, as it does in etcd: apply copes with a key that changes twice.
absl::Status check_txn(const TxnRequest& request, std::size_t max_ops = kDefaultMaxTxnOps);

}  // namespace holdfast::statemachine
