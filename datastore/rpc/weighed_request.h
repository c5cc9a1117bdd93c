#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "datastore/base/memory_budget.h"
#include "datastore/codec/internal_request.h"
#include "datastore/rpc/list_gate.h"
#include "datastore/rpc/loop_state.h"
#include "datastore/rpc/read_weight.h"

/// Transactions, puts and deletions whose answers may be big: they have the memory reserved before
/// anything is read.
namespace holdfast::rpc {

/// Whether memory is bounded by more than what the machine has.
bool is_memory_limited(const LoopState& state);

/// A read-only transaction that is not sure to be short: on the node's pool, in its place in the
/// line (ListGate), as one answer of one view. What is read after the caller was found to be
/// permitted, at AuthSource::version() `auth_version`, is not shown if permissions have changed
/// meanwhile.
void answer_on_pool(LoopState& state, net::CallRef call, BytesView request,
                    std::uint64_t auth_version);

/// Proposes what reads before it writes. Every member applies it alike: what is too big is refused
/// before it is proposed, and this member alone makes the answer, within what was weighed. Small
/// ones go at once; the others wait for their place and their memory first. `weight` is that of
/// `request`, with nothing weighed yet.
void propose_by_weight(LoopState& state, net::CallRef call, codec::CommandField field,
                       BytesView request, ReadWeight weight, LoopState::Encode encode);

/// The same of `decoded`, which is `request`; without a memory limit nothing is weighed.
template <class Request>
void propose_weighed(LoopState& state, net::CallRef call, codec::CommandField field,
                     BytesView request, const Request& decoded, LoopState::Encode encode) {
  if (!is_memory_limited(state)) return state.propose(std::move(call), field, request, encode);
  propose_by_weight(state, std::move(call), field, request, ReadWeight(decoded), encode);
}

}  // namespace holdfast::rpc
