#pragma once

#include "absl/status/status.h"
#include "datastore/net/grpc_call.h"
#include "datastore/rpc/loop_state.h"

/// What is asked of every call before its request is looked at, and how bad bytes are answered.
namespace holdfast::rpc {

enum class Learners { kRefuse, kServe };

/// Errors, as etcd's interceptors: invalid_client_api_version for a version that is not UTF-8,
/// no_leader when the client demands one ("hasleader"), not_supported_for_learner.
absl::Status admit(LoopState& state, const net::GrpcCall& call, bool streaming,
                   Learners learners = Learners::kRefuse);

/// Whether the client wants its call ended when there is no leader ("hasleader: true").
bool demands_leader(const net::GrpcCall& call);

/// What a unary call is told about a request that does not decode, in grpc-go's words.
absl::Status malformed_request(const absl::Status& why);
/// And a stream.
absl::Status malformed_message(const absl::Status& why);

bool is_valid_utf8(BytesView text);

}  // namespace holdfast::rpc
