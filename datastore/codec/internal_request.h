#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/statemachine/command.h"

/// The payload of a normal log entry: etcd's InternalRaftRequest (etcd-facts 3.1).
namespace holdfast::codec {

/// Field numbers of the bodies.
enum class CommandField : std::uint32_t {
  kRange = 3,
  kPut = 4,
  kDeleteRange = 5,
  kTxn = 6,
  kCompaction = 7,
  kLeaseGrant = 8,
  kLeaseRevoke = 9,
  kAlarm = 10,
  kLeaseCheckpoint = 11,
  kAuthEnable = 1000,
  kAuthDisable = 1011,
  kAuthenticate = 1012,
  kAuthStatus = 1013,
  kUserAdd = 1100,
  kUserDelete = 1101,
  kUserGet = 1102,
  kUserChangePassword = 1103,
  kUserGrantRole = 1104,
  kUserRevokeRole = 1105,
  kUserList = 1106,
  kRoleList = 1107,
  kRoleAdd = 1200,
  kRoleDelete = 1201,
  kRoleGet = 1202,
  kRoleGrantPermission = 1203,
  kRoleRevokePermission = 1204,
  kClusterVersionSet = 1300,
  kMemberAttributesSet = 1301,
  kDowngradeInfoSet = 1302,
  /// Without effect, as in etcd.
  kDowngradeVersionTest = 9900,
};

/// On whose behalf a command is proposed, while authentication is enabled; nobody by default.
struct Sender {
  BytesView username;
  std::uint64_t auth_revision = 0;
};

/// A log entry's payload around a request as it was received: the bytes are spliced, not parsed.
/// `id` is the request's, unique in the cluster (etcd-facts 3.3). `request` must have been decoded
/// before: what is not valid protobuf stops every member that applies it.
Bytes encode_internal(std::uint64_t id, CommandField field, BytesView request,
                      const Sender& sender = {});

/// Bytes that encode_internal() would return: what etcd holds against max-request-bytes.
std::size_t internal_size_bytes(std::uint64_t id, CommandField field, std::size_t request_bytes,
                                const Sender& sender = {});

/// A log entry's payload as a command, whose views point into `bytes`. `*out` is overwritten and
/// unspecified after an error. The body is monostate for a command without effect.
/// Errors: InvalidArgument for what is not protobuf, has no body or more than one.
absl::Status decode_internal(BytesView bytes, statemachine::Command* out);

/// Bodies that the server writes by itself.
Bytes encode_lease_revoke(LeaseId id);
Bytes encode_lease_checkpoint(absl::Span<const statemachine::LeaseCheckpoint> checkpoints);
Bytes encode_lease_grant(const statemachine::LeaseGrantRequest& request);
Bytes encode_compaction(const statemachine::CompactionRequest& request);
Bytes encode_alarm(const statemachine::AlarmRequest& request);
Bytes encode_cluster_version_set(BytesView version);
Bytes encode_member_attributes_set(const statemachine::MemberAttributesSetRequest& request);
Bytes encode_downgrade_info_set(const statemachine::DowngradeInfoSetRequest& request);

}  // namespace holdfast::codec
