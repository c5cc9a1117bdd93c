#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/net/http1_client.h"
#include "datastore/node/node.h"
#include "datastore/node/peers.h"

/// What members ask each other beside raft's messages, as bytes and back: the bodies of the
/// endpoints in etcd-facts 1.3. Pure.
///
/// encode_* makes what we answer; decode_* judges what a peer has answered. Errors of decode_*: the
/// peer's own, where etcd tells it apart, and Unavailable for every other answer.
namespace holdfast::peer {

/// /raft/probing: the time now, in milliseconds since 1970.
Bytes encode_probe(std::int64_t unix_milliseconds);
absl::StatusOr<std::int64_t> decode_probe(const net::Http1Response& answer);

/// /members and /members/promote.
Bytes encode_members(const std::vector<node::MemberInfo>& members);
/// Errors: member_not_found, member_not_learner, learner_not_ready.
absl::StatusOr<std::vector<node::MemberInfo>> decode_promotion(const net::Http1Response& answer);
/// The status and text of a promotion that failed.
struct Refusal {
  int status;
  std::string text;
};
Refusal encode_promotion_error(const absl::Status& why);

/// /version.
Bytes encode_version(const node::PeerVersion& version);
absl::StatusOr<node::PeerVersion> decode_version(const net::Http1Response& answer);

/// /members/hashkv, a GET with a body.
Bytes encode_hash_request(Revision revision);
/// Errors: InvalidArgument.
absl::StatusOr<Revision> decode_hash_request(BytesView body);
Bytes encode_hash(const node::HashResult& result);
/// Errors: compacted, future_revision.
absl::StatusOr<node::HashResult> decode_hash(const net::Http1Response& answer);

/// /leases.
Bytes encode_keep_alive_request(LeaseId lease);
absl::StatusOr<LeaseId> decode_keep_alive_request(BytesView body);
Bytes encode_keep_alive(LeaseId lease, std::int64_t ttl_seconds);
/// The renewed TTL. Errors: lease_not_found, not_leader, timeout.
absl::StatusOr<std::int64_t> decode_keep_alive(const net::Http1Response& answer);

/// /leases/internal.
struct LeaseQuery {
  LeaseId lease;
  bool keys = false;
};
Bytes encode_lease_query(const LeaseQuery& query);
absl::StatusOr<LeaseQuery> decode_lease_query(BytesView body);
Bytes encode_lease_times(const node::LeaseTimes& times);
/// Errors: as decode_keep_alive().
absl::StatusOr<node::LeaseTimes> decode_lease_times(const net::Http1Response& answer);
/// The status and text of a lease's request that failed.
Refusal encode_lease_error(const absl::Status& why);

}  // namespace holdfast::peer
