#pragma once

#include "datastore/codec/responses.h"
#include "datastore/proto/rpc.pb.h"

namespace holdfast::rpc {

/// A header for answers made with generated classes.
inline void fill(const codec::ResponseHeader& header, etcdserverpb::ResponseHeader* out) {
  out->set_cluster_id(header.cluster.value);
  out->set_member_id(header.member.value);
  out->set_revision(header.revision.value);
  out->set_raft_term(header.raft_term.value);
}

}  // namespace holdfast::rpc
