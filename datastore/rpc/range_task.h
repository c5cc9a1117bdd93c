#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "datastore/codec/responses.h"
#include "datastore/mvcc/range.h"
#include "datastore/mvcc/view.h"
#include "datastore/net/grpc_call.h"
#include "datastore/net/message.h"
#include "datastore/rpc/loop_state.h"

/// Ranges too long for a loop: read on the node's pool, in slices, copied into pieces.
namespace holdfast::rpc {

/// A whole RangeResponse in one piece.
Bytes encode_range(const codec::ResponseHeader& header, const std::vector<BytesView>& kvs,
                   bool more, std::int64_t count);
Bytes encode_range(const codec::ResponseHeader& header, const mvcc::RangeResult& result);

/// One long Range. Between two slices it goes to the end of the pool's queue, so that many of them
/// share the pool fairly; it stops early when its client has gone.
class RangeTask : public std::enable_shared_from_this<RangeTask> {
 public:
  /// `request` is a valid RangeRequest. The call is finished from its loop.
  static void start(LoopState& state, net::CallRef call, BytesView request);

  RangeTask(LoopState& state, net::CallRef call, BytesView request);

 private:
  void begin();
  void submit();
  void step(mvcc::Reader& reader);
  /// True when the answer is complete, or the attempt failed (`*status`).
  bool take_slice(mvcc::Reader& reader, absl::Status* status);
  void answer_at_once(mvcc::Reader& reader);
  void finish(absl::Status status);

  LoopState& state_;
  const net::CallRef call_;
  const Bytes request_;
  mvcc::RangeQuery query_;  // into request_
  std::unique_ptr<mvcc::RangeCursor> cursor_;
  std::vector<std::shared_ptr<Bytes>> pieces_;
  Revision revision_;
  std::int64_t count_ = 0;
  bool more_ = false;
  int restarts_ = 0;
  /// Shared with the call, which must not keep the task alive.
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

/// The handler of KV.RangeStream: slices sent as they are read, the next one only when the client
/// has taken the last ones.
std::unique_ptr<net::GrpcHandler> make_range_stream(LoopState& state, net::CallRef call);

}  // namespace holdfast::rpc
