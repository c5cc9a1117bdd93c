#include <memory>
#include <utility>

#include "datastore/base/errors.h"
#include "datastore/codec/requests.h"
#include "datastore/codec/responses.h"
#include "datastore/rpc/range_task.h"
#include "datastore/rpc/service.h"
#include "datastore/rpc/weighed_request.h"
#include "datastore/statemachine/permits.h"
#include "datastore/statemachine/txn.h"
#include "datastore/statemachine/validate.h"

namespace holdfast::rpc {
namespace {

using codec::CommandField;
using node::Applied;

/// What a range may cost on the loop; more goes to the pool.
constexpr std::size_t kLoopKeys = 128;
constexpr std::size_t kLoopBytes = 128 * 1024;

net::Message encode_put(LoopState& state, const Applied& applied) {
  return codec::encode_put(state.header(applied.outcome.revision, applied.term),
                           std::get<statemachine::PutOutcome>(applied.outcome.body));
}

net::Message encode_delete_range(LoopState& state, const Applied& applied) {
  return codec::encode_delete_range(
      state.header(applied.outcome.revision, applied.term),
      std::get<statemachine::DeleteRangeOutcome>(applied.outcome.body));
}

net::Message encode_txn(LoopState& state, const Applied& applied) {
  return codec::encode_txn(state.header(applied.outcome.revision, applied.term),
                           std::get<statemachine::TxnOutcome>(applied.outcome.body));
}

void put(LoopState& state, net::CallRef call, BytesView bytes) {
  statemachine::PutRequest request;
  if (absl::Status status = codec::decode(bytes, &request); !status.ok()) {
    return call->finish(malformed_request(status));
  }
  if (absl::Status status = statemachine::check_put(request); !status.ok()) {
    return call->finish(status);
  }
  if (!request.prev_kv && !request.ignore_value) {
    return state.propose(std::move(call), CommandField::kPut, bytes, encode_put);
  }
  propose_weighed(state, std::move(call), CommandField::kPut, bytes, request, encode_put);
}

void delete_range(LoopState& state, net::CallRef call, BytesView bytes) {
  statemachine::DeleteRangeRequest request;
  if (absl::Status status = codec::decode(bytes, &request); !status.ok()) {
    return call->finish(malformed_request(status));
  }
  if (absl::Status status = statemachine::check_delete(request); !status.ok()) {
    return call->finish(status);
  }
  propose_weighed(state, std::move(call), CommandField::kDeleteRange, bytes, request,
                  encode_delete_range);
}

/// Answers on the loop if that is sure to be short; false if it is not.
bool range_on_loop(LoopState& state, const mvcc::Reader& reader, const net::CallRef& call,
                   const mvcc::RangeQuery& query) {
  if (query.range.single()) {
    const auto result = reader.range(query);
    if (!result.ok()) {
      call->finish(result.status());
    } else {
      call->send_and_finish(encode_range(state.header(result->revision), *result));
    }
    return true;
  }
  if (!mvcc::is_streamable(query)) return false;
  mvcc::RangeCursor cursor(query);
  const auto slice = cursor.next(reader, kLoopKeys, kLoopBytes);
  if (!slice.ok()) {
    call->finish(slice.status());
    return true;
  }
  // With more behind the limit the count needs a walk of its own.
  if (!slice->done || slice->more) return false;
  const auto count = static_cast<std::int64_t>(slice->kvs.size());
  call->send_and_finish(encode_range(state.header(cursor.revision()), slice->kvs, false, count));
  return true;
}

/// `bytes` is a valid RangeRequest, and the newest view is new enough for it.
void serve_range(LoopState& state, net::CallRef call, BytesView bytes) {
  if (!call->active()) return;
  statemachine::RangeRequest request;
  if (absl::Status status = codec::decode(bytes, &request); !status.ok()) {
    return call->finish(malformed_request(status));
  }
  const auto reader = state.reader();
  if (!reader.ok()) return call->finish(reader.status());
  const std::uint64_t auth_version = state.node().auth().version();
  if (absl::Status status = state.check_read(*call, request.range.key, request.range.end);
      !status.ok()) {
    return call->finish(status);
  }
  if (range_on_loop(state, **reader, call, statemachine::to_query(request))) return;
  RangeTask::start(state, std::move(call), bytes, auth_version);
}

void range(LoopState& state, net::CallRef call, BytesView bytes) {
  statemachine::RangeRequest request;
  if (absl::Status status = codec::decode(bytes, &request); !status.ok()) {
    return call->finish(malformed_request(status));
  }
  if (!request.serializable && state.is_learner()) {
    return call->finish(errors::not_supported_for_learner());
  }
  if (absl::Status status = statemachine::check_range(request); !status.ok()) {
    return call->finish(status);
  }
  if (state.is_readable_now(request.serializable)) {
    return serve_range(state, std::move(call), bytes);
  }
  state.when_readable(request.serializable, [&state, call = std::move(call),
                                             bytes = Bytes(bytes)](absl::Status status) mutable {
    if (!status.ok()) return call->finish(status);
    serve_range(state, std::move(call), bytes);
  });
}

/// Whether the caller may read what the transaction compares and what either branch reads.
absl::Status check_permitted(LoopState& state, const net::GrpcCall& call,
                             const statemachine::TxnRequest& request) {
  if (!state.auth_enabled()) return absl::OkStatus();
  const absl::StatusOr<Caller> who = state.caller(call);
  if (!who.ok()) return who.status();
  return statemachine::Permits(state.auth(), who->identity(), nullptr).check(request);
}

/// Whether it is sure to be short.
bool txn_on_loop(const mvcc::Reader& reader, const statemachine::TxnRequest& request) {
  ReadWeight weight(request);
  return weight.weigh(reader, kLoopKeys, 1, kLoopBytes) && weight.need_bytes(1) <= kLoopBytes;
}

void serve_read_only_txn(LoopState& state, const net::CallRef& call, BytesView bytes) {
  if (!call->active()) return;
  statemachine::TxnRequest request;
  if (absl::Status status = codec::decode(bytes, &request); !status.ok()) {
    return call->finish(malformed_request(status));
  }
  const auto reader = state.reader();
  if (!reader.ok()) return call->finish(reader.status());
  const std::uint64_t auth_version = state.node().auth().version();
  if (absl::Status status = check_permitted(state, *call, request); !status.ok()) {
    return call->finish(status);
  }
  if (!txn_on_loop(**reader, request)) return answer_on_pool(state, call, bytes, auth_version);
  const auto outcome = statemachine::evaluate_read_only(request, **reader);
  state.observer().read_only_txn_finished(state.loop().index(), request, outcome,
                                          state.loop().now() - call->started());
  if (!outcome.ok()) return call->finish(outcome.status());
  if (!outcome->status.ok()) return call->finish(outcome->status);
  call->send_and_finish(codec::encode_txn(state.header(outcome->revision),
                                          std::get<statemachine::TxnOutcome>(outcome->body)));
}

void txn(LoopState& state, net::CallRef call, BytesView bytes) {
  statemachine::TxnRequest request;
  if (absl::Status status = codec::decode(bytes, &request); !status.ok()) {
    return call->finish(malformed_request(status));
  }
  absl::Status status = statemachine::check_txn(request, state.options().max_txn_ops);
  if (!status.ok()) return call->finish(status);
  if (!statemachine::is_read_only(request)) {
    return propose_weighed(state, std::move(call), CommandField::kTxn, bytes, request, encode_txn);
  }
  const bool serializable = statemachine::is_serializable(request);
  if (state.is_readable_now(serializable)) return serve_read_only_txn(state, call, bytes);
  state.when_readable(serializable,
                      [&state, call = std::move(call), bytes = Bytes(bytes)](absl::Status ready) {
                        if (!ready.ok()) return call->finish(ready);
                        serve_read_only_txn(state, call, bytes);
                      });
}

void finish_compaction(LoopState& state, const net::CallRef& call, Term term) {
  if (!call->active()) return;
  call->send_and_finish(codec::encode_header_only(state.header(state.newest_revision(), term)));
}

void compact(LoopState& state, net::CallRef call, BytesView bytes) {
  statemachine::CompactionRequest request;
  if (absl::Status status = codec::decode(bytes, &request); !status.ok()) {
    return call->finish(malformed_request(status));
  }
  state.propose(std::move(call), CommandField::kCompaction, bytes,
                [&state, request](net::CallRef compacted, Applied applied) {
                  if (!request.physical) return finish_compaction(state, compacted, applied.term);
                  const Term term = applied.term;
                  state.node().await_compaction(
                      Revision(request.revision),
                      [&state, term, compacted = std::move(compacted)](absl::Status status) {
                        if (!status.ok()) return compacted->finish(status);
                        finish_compaction(state, compacted, term);
                      },
                      state);
                });
}

}  // namespace

void register_kv(net::GrpcServices& services, Loops& loops) {
  add_unary(services, loops, "/etcdserverpb.KV/Range", range, Learners::kServe);
  add_unary(services, loops, "/etcdserverpb.KV/Put", put);
  add_unary(services, loops, "/etcdserverpb.KV/DeleteRange", delete_range);
  add_unary(services, loops, "/etcdserverpb.KV/Txn", txn);
  add_unary(services, loops, "/etcdserverpb.KV/Compact", compact, Learners::kRefuse,
            Access::kAdministrators);
  add_stream(services, loops, "/etcdserverpb.KV/RangeStream", net::MethodKind::kServerStreaming,
             [](LoopState& state, net::CallRef call) {
               return make_range_stream(state, std::move(call));
             });
}

}  // namespace holdfast::rpc
