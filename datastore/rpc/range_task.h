#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "datastore/codec/responses.h"
#include "datastore/mvcc/range.h"
#include "datastore/mvcc/view.h"
#include "datastore/net/grpc_call.h"
#include "datastore/net/message.h"
#include "datastore/rpc/loop_state.h"
#include "datastore/rpc/stall_watch.h"

/// Ranges too long for a loop: read on the node's pool, in slices, copied into pieces.
namespace holdfast::rpc {

/// A whole RangeResponse in one piece.
Bytes encode_range(const codec::ResponseHeader& header, const std::vector<BytesView>& kvs,
                   bool more, std::int64_t count);
Bytes encode_range(const codec::ResponseHeader& header, const mvcc::RangeResult& result);

/// As grpc-go's servers.
inline constexpr std::size_t kMaxMessageBytes = std::numeric_limits<std::int32_t>::max();
absl::Status answer_beyond_message(std::size_t size_bytes);
/// How many copies of its answer `call` has made once it is encoded as a whole: compressed ones are
/// gathered before they are; what becomes JSON is received, parsed and printed.
std::size_t copies_once_encoded(const net::GrpcCall& call);
/// Keeps `held` until the client has taken the message.
net::Message hold(Bytes message, std::shared_ptr<const void> held);

/// One long Range. Between two slices it goes to the end of the pool's queue, so that many of them
/// share the pool fairly; it stops early when its client has gone.
///
/// It waits for its place in the line (ListGate) before it begins. However long the answer, memory
/// holds little of it: past kCollectedBytes the rest is measured
/// first, since a message begins with its length, and then read again, slice by slice, as the
/// client takes it. It pins nothing meanwhile: a compaction that overtakes it makes it start over
/// or, once the message has begun, resets the call with a code after which clients try again. A
/// client that takes nothing for list_stall_timeout loses it.
class RangeTask : public std::enable_shared_from_this<RangeTask> {
 public:
  static constexpr std::size_t kCollectedBytes = std::size_t{1} << 20;

  /// `request` is a valid RangeRequest. The call is finished from its loop. What is read after the
  /// caller was found to be permitted, at AuthSource::version() `auth_version`, is not shown if
  /// permissions have changed meanwhile.
  static void start(LoopState& state, net::CallRef call, BytesView request,
                    std::uint64_t auth_version);

  RangeTask(LoopState& state, net::CallRef call, BytesView request, std::uint64_t auth_version);

 private:
  /// What the next piece of work on the pool does.
  enum class Stage : std::uint8_t { kWeigh, kAtOnce, kCollect, kMeasure, kSend };

  void enter_line();
  void begin();
  void submit();
  // On the pool.
  void step(mvcc::Reader& reader);
  absl::Status weigh(mvcc::Reader& reader);
  absl::Status reserve_whole();
  absl::Status answer_at_once(mvcc::Reader& reader);
  absl::Status collect(mvcc::Reader& reader);
  absl::Status measure(mvcc::Reader& reader);
  absl::Status send_slice(mvcc::Reader& reader);
  absl::Status end_walk(mvcc::Reader& reader, bool more);
  void finish(absl::Status status);
  // On the loop.
  void send_whole();
  void begin_sending();
  void send_part(std::shared_ptr<const Bytes> part, bool last);
  void go_on();
  void on_stalled();

  LoopState& state_;
  const net::CallRef call_;
  const bool takes_parts_;
  const Bytes request_;
  const std::uint64_t auth_version_;
  /// How often the whole answer is in memory before it is sent; 0: never as a whole.
  const std::size_t copies_;
  mvcc::RangeQuery query_;  // into request_
  std::shared_ptr<ListGate::Place> place_;
  Stage stage_ = Stage::kAtOnce;
  std::optional<mvcc::RangeCursor> cursor_;
  /// Measures what cursor_ has still to read.
  std::optional<mvcc::RangeCursor> ahead_;
  std::vector<std::shared_ptr<Bytes>> pieces_;
  std::size_t size_bytes_ = 0;  // of all pairs, framed
  /// What weigh() has found.
  struct Weight {
    std::size_t keys = 0;
    std::size_t size_bytes = 0;
    std::size_t largest_bytes = 0;
  };
  Weight weight_;
  std::size_t reserved_bytes_ = 0;
  Revision revision_;
  std::int64_t count_ = 0;
  bool more_ = false;
  int restarts_ = 0;
  bool waits_for_client_ = false;
  std::optional<StallWatch> stall_;  // once the message has begun
  /// Shared with the call, which must not keep the task alive.
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

/// The handler of KV.RangeStream: slices sent as they are read, the next one only when the client
/// has taken the last ones.
std::unique_ptr<net::GrpcHandler> make_range_stream(LoopState& state, net::CallRef call);

}  // namespace holdfast::rpc
