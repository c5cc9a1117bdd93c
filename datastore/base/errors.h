#pragma once

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

}  // namespace holdfast::errors
