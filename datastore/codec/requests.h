#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>

#include "absl/status/status.h"
#include "datastore/base/bytes.h"
#include "datastore/statemachine/command.h"

/// Clients' requests from bytes to plain structs. Views in the results point into the bytes, which
/// must outlive them. Unknown fields are passed over; a field sent twice counts the last time.
///
/// Every decoder overwrites `*out`, which is unspecified after an error. Errors: InvalidArgument
/// naming the message and the field, for bytes that are not protobuf.
namespace holdfast::codec {

/// What a transaction may cost to decode, before anything else about it is known to be sane.
struct TxnLimits {
  /// Transactions inside transactions.
  int max_depth;
  /// Comparisons and operations of the whole tree.
  std::size_t max_operations;
};

/// For clients. Any transaction within etcd's default of 128 operations a level fits.
inline constexpr TxnLimits kClientTxnLimits = {.max_depth = 130, .max_operations = 1 << 17};
/// For log entries: what some member let in must be readable; only the stack is protected.
inline constexpr TxnLimits kLogTxnLimits = {.max_depth = 1000, .max_operations = SIZE_MAX};

absl::Status decode(BytesView bytes, statemachine::RangeRequest* out);
absl::Status decode(BytesView bytes, statemachine::PutRequest* out);
absl::Status decode(BytesView bytes, statemachine::DeleteRangeRequest* out);
/// Errors: also errors::too_many_ops when a limit is passed.
absl::Status decode(BytesView bytes, statemachine::TxnRequest* out,
                    const TxnLimits& limits = kClientTxnLimits);
absl::Status decode(BytesView bytes, statemachine::CompactionRequest* out);
absl::Status decode(BytesView bytes, statemachine::LeaseGrantRequest* out);
absl::Status decode(BytesView bytes, statemachine::LeaseRevokeRequest* out);
absl::Status decode(BytesView bytes, statemachine::LeaseCheckpointRequest* out);
absl::Status decode(BytesView bytes, statemachine::AlarmRequest* out);

struct LeaseKeepAliveRequest {
  LeaseId id;
};
absl::Status decode(BytesView bytes, LeaseKeepAliveRequest* out);

struct LeaseTimeToLiveRequest {
  LeaseId id;
  bool keys = false;
};
absl::Status decode(BytesView bytes, LeaseTimeToLiveRequest* out);

struct WatchCreateRequest {
  statemachine::KeyRange range;
  std::int64_t start_revision = 0;  // 0: from the next change on
  std::int64_t watch_id = 0;        // 0: the server chooses
  bool progress_notify = false;
  bool no_put = false;
  bool no_delete = false;
  bool prev_kv = false;
  bool fragment = false;
};
struct WatchCancelRequest {
  std::int64_t watch_id = 0;
};
struct WatchProgressRequest {};

/// monostate: an empty oneof, which a watch stream ignores.
using WatchRequest =
    std::variant<std::monostate, WatchCreateRequest, WatchCancelRequest, WatchProgressRequest>;
absl::Status decode(BytesView bytes, WatchRequest* out);

}  // namespace holdfast::codec
