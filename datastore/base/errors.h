#pragma once

#include <string_view>

#include "absl/status/status.h"

/// etcd's errors: canonical code and text, as clients compare them. Source: the client library's
/// rpctypes. A Status made here goes to the client unchanged.
namespace holdfast::errors {

#define HOLDFAST_ETCD_ERRORS(X)                                                                  \
  X(empty_key, kInvalidArgument, "etcdserver: key is not provided")                              \
  X(key_not_found, kInvalidArgument, "etcdserver: key not found")                                \
  X(value_provided, kInvalidArgument, "etcdserver: value is provided")                           \
  X(lease_provided, kInvalidArgument, "etcdserver: lease is provided")                           \
  X(too_many_ops, kInvalidArgument, "etcdserver: too many operations in txn request")            \
  X(duplicate_key, kInvalidArgument, "etcdserver: duplicate key given in txn request")           \
  X(invalid_client_api_version, kInvalidArgument, "etcdserver: invalid client api version")      \
  X(invalid_sort_option, kInvalidArgument, "etcdserver: invalid sort option")                    \
  X(compacted, kOutOfRange, "etcdserver: mvcc: required revision has been compacted")            \
  X(future_revision, kOutOfRange, "etcdserver: mvcc: required revision is a future revision")    \
  X(no_space, kResourceExhausted, "etcdserver: mvcc: database space exceeded")                   \
  X(lease_not_found, kNotFound, "etcdserver: requested lease not found")                         \
  X(lease_exists, kFailedPrecondition, "etcdserver: lease already exists")                       \
  X(lease_ttl_too_large, kOutOfRange, "etcdserver: too large lease TTL")                         \
  X(watch_canceled, kCancelled, "etcdserver: watch canceled")                                    \
  X(member_exist, kFailedPrecondition, "etcdserver: member ID already exist")                    \
  X(peer_url_exist, kFailedPrecondition, "etcdserver: Peer URLs already exists")                 \
  X(member_not_enough_started, kFailedPrecondition,                                              \
    "etcdserver: re-configuration failed due to not enough started members")                     \
  X(member_bad_urls, kInvalidArgument, "etcdserver: given member URLs are invalid")              \
  X(member_not_found, kNotFound, "etcdserver: member not found")                                 \
  X(member_not_learner, kFailedPrecondition, "etcdserver: can only promote a learner member")    \
  X(learner_not_ready, kFailedPrecondition,                                                      \
    "etcdserver: can only promote a learner member which is in sync with leader")                \
  X(too_many_learners, kFailedPrecondition, "etcdserver: too many learner members in cluster")   \
  X(cluster_id_mismatch, kFailedPrecondition, "etcdserver: cluster ID mismatch")                 \
  X(request_too_large, kInvalidArgument, "etcdserver: request is too large")                     \
  X(too_many_requests, kResourceExhausted, "etcdserver: too many requests")                      \
  X(root_user_not_exist, kFailedPrecondition, "etcdserver: root user does not exist")            \
  X(root_role_not_exist, kFailedPrecondition, "etcdserver: root user does not have root role")   \
  X(user_already_exist, kFailedPrecondition, "etcdserver: user name already exists")             \
  X(user_empty, kInvalidArgument, "etcdserver: user name is empty")                              \
  X(user_not_found, kFailedPrecondition, "etcdserver: user name not found")                      \
  X(role_already_exist, kFailedPrecondition, "etcdserver: role name already exists")             \
  X(role_not_found, kFailedPrecondition, "etcdserver: role name not found")                      \
  X(role_empty, kInvalidArgument, "etcdserver: role name is empty")                              \
  X(auth_failed, kInvalidArgument,                                                               \
    "etcdserver: authentication failed, invalid user ID or password")                            \
  X(permission_not_given, kInvalidArgument, "etcdserver: permission not given")                  \
  X(permission_denied, kPermissionDenied, "etcdserver: permission denied")                       \
  X(role_not_granted, kFailedPrecondition, "etcdserver: role is not granted to the user")        \
  X(permission_not_granted, kFailedPrecondition,                                                 \
    "etcdserver: permission is not granted to the role")                                         \
  X(auth_not_enabled, kFailedPrecondition, "etcdserver: authentication is not enabled")          \
  X(invalid_auth_token, kUnauthenticated, "etcdserver: invalid auth token")                      \
  X(invalid_auth_management, kInvalidArgument, "etcdserver: invalid auth management")            \
  X(auth_old_revision, kInvalidArgument, "etcdserver: revision of auth store is old")            \
  X(no_password_user, kUnknown,                                                                  \
    "auth: authentication failed, password was given for no password user")                      \
  X(verify_only_key, kUnknown, "auth: token signing attempted with verify-only key")             \
  X(password_too_long, kUnknown, "bcrypt: password length exceeds 72 bytes")                     \
  X(no_leader, kUnavailable, "etcdserver: no leader")                                            \
  X(not_leader, kFailedPrecondition, "etcdserver: not leader")                                   \
  X(leader_changed, kUnavailable, "etcdserver: leader changed")                                  \
  X(not_capable, kFailedPrecondition, "etcdserver: not capable")                                 \
  X(stopped, kUnavailable, "etcdserver: server stopped")                                         \
  X(timeout, kUnavailable, "etcdserver: request timed out")                                      \
  X(timeout_due_to_leader_fail, kUnavailable,                                                    \
    "etcdserver: request timed out, possibly due to previous leader failure")                    \
  X(timeout_due_to_connection_lost, kUnavailable,                                                \
    "etcdserver: request timed out, possibly due to connection lost")                            \
  X(timeout_wait_applied_index, kUnavailable,                                                    \
    "etcdserver: request timed out, waiting for the applied index took too long")                \
  X(unhealthy, kUnavailable, "etcdserver: unhealthy cluster")                                    \
  X(corrupt, kDataLoss, "etcdserver: corrupt cluster")                                           \
  X(not_supported_for_learner, kFailedPrecondition, "etcdserver: rpc not supported for learner") \
  X(timeout_leader_transfer, kUnavailable,                                                       \
    "etcdserver: request timed out, leader transfer took too long")                              \
  X(bad_leader_transferee, kFailedPrecondition, "etcdserver: bad leader transferee")             \
  X(wrong_downgrade_version_format, kInvalidArgument,                                            \
    "etcdserver: wrong downgrade target version format")                                         \
  X(invalid_downgrade_target_version, kInvalidArgument,                                          \
    "etcdserver: invalid downgrade target version")                                              \
  X(downgrade_in_process, kFailedPrecondition,                                                   \
    "etcdserver: cluster has a downgrade job in progress")                                       \
  X(no_inflight_downgrade, kFailedPrecondition, "etcdserver: no inflight downgrade job")         \
  X(cluster_version_unavailable, kFailedPrecondition,                                            \
    "etcdserver: cluster version not found during downgrade")

#define HOLDFAST_DECLARE_ERROR(name, code, text)       \
  inline absl::Status name() {                         \
    return absl::Status(absl::StatusCode::code, text); \
  }
HOLDFAST_ETCD_ERRORS(HOLDFAST_DECLARE_ERROR)
#undef HOLDFAST_DECLARE_ERROR

/// None of etcd's: among a member's Status.errors while its disk has no room for what it has to
/// write. It goes on trying.
inline constexpr std::string_view kDiskFull =
    "no room on this member's disk: free some, or give it a larger one";

}  // namespace holdfast::errors
