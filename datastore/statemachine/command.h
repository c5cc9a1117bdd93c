#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/mvcc/range.h"
#include "datastore/statemachine/auth_command.h"

/// etcd's InternalRaftRequest as plain values: what a log entry says (etcd-facts 3.1). All views
/// point into the entry's bytes, which must outlive the command.
namespace holdfast::statemachine {

using mvcc::KeyRange;
using mvcc::SortOrder;
using mvcc::SortTarget;

struct RangeRequest {
  KeyRange range;
  std::int64_t limit = 0;     // 0: no limit
  std::int64_t revision = 0;  // <= 0: the newest
  /// As received: an unknown number is for the validation at the door to refuse.
  std::int32_t sort_order = 0;
  std::int32_t sort_target = 0;
  bool serializable = false;
  bool keys_only = false;
  bool count_only = false;
  std::int64_t min_mod_revision = 0;
  std::int64_t max_mod_revision = 0;
  std::int64_t min_create_revision = 0;
  std::int64_t max_create_revision = 0;
};

struct PutRequest {
  BytesView key;
  BytesView value;
  LeaseId lease;
  bool prev_kv = false;
  bool ignore_value = false;
  bool ignore_lease = false;
};

struct DeleteRangeRequest {
  KeyRange range;
  bool prev_kv = false;
};

enum class CompareResult : std::uint8_t { kEqual = 0, kGreater = 1, kLess = 2, kNotEqual = 3 };
enum class CompareTarget : std::uint8_t {
  kVersion = 0,
  kCreate = 1,
  kMod = 2,
  kValue = 3,
  kLease = 4,
};

struct Compare {
  std::int32_t result = 0;  // as received
  std::int32_t target = 0;  // as received
  KeyRange range;
  /// The operand of whichever numeric case arrived, and that of the value case.
  std::int64_t number = 0;
  BytesView value;
  /// Which oneof case arrived (4 version, 5 create, 6 mod, 7 value, 8 lease; 0 none). An operand of
  /// another kind than the target counts as 0 or empty.
  std::int32_t operand_field = 0;
};

struct TxnRequest;

/// monostate: an operation with an empty oneof, refused at the door.
using RequestOp = std::variant<std::monostate, RangeRequest, PutRequest, DeleteRangeRequest,
                               std::unique_ptr<TxnRequest>>;

struct TxnRequest {
  std::vector<Compare> compare;
  std::vector<RequestOp> success;
  std::vector<RequestOp> failure;
};

struct CompactionRequest {
  std::int64_t revision = 0;
  bool physical = false;
};

struct LeaseGrantRequest {
  std::int64_t ttl_seconds = 0;
  LeaseId id;
};

struct LeaseRevokeRequest {
  LeaseId id;
};

struct LeaseCheckpoint {
  LeaseId id;
  std::int64_t remaining_ttl_seconds = 0;
};

struct LeaseCheckpointRequest {
  std::vector<LeaseCheckpoint> checkpoints;
};

enum class AlarmAction : std::uint8_t { kGet = 0, kActivate = 1, kDeactivate = 2 };
enum class AlarmType : std::int32_t { kNone = 0, kNoSpace = 1, kCorrupt = 2 };

struct AlarmRequest {
  std::int32_t action = 0;  // as received
  MemberId member;          // 0: every member, for get and deactivate
  std::int32_t alarm = 0;   // as received
};

struct ClusterVersionSetRequest {
  BytesView version;
};

struct MemberAttributesSetRequest {
  MemberId member;
  BytesView name;
  std::vector<BytesView> client_urls;
};

struct DowngradeInfoSetRequest {
  bool enabled = false;
  BytesView version;
};

/// A body that this version knows by field number only: what etcd ignores too is applied as
/// nothing, any other stops the member, it is never skipped.
struct UnsupportedRequest {
  std::uint32_t field = 0;
};

using CommandBody =
    std::variant<std::monostate, RangeRequest, PutRequest, DeleteRangeRequest, TxnRequest,
                 CompactionRequest, LeaseGrantRequest, LeaseRevokeRequest, LeaseCheckpointRequest,
                 AlarmRequest, ClusterVersionSetRequest, MemberAttributesSetRequest,
                 DowngradeInfoSetRequest, AuthRequest, UnsupportedRequest>;

struct Command {
  /// Unique in the cluster (etcd-facts 3.3); finds the waiting proposer.
  std::uint64_t id = 0;
  BytesView username;
  std::uint64_t auth_revision = 0;
  CommandBody body;
};

}  // namespace holdfast::statemachine
