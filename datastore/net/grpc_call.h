#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "datastore/base/bytes.h"
#include "datastore/net/event_loop.h"
#include "datastore/net/message.h"

namespace holdfast::net {

class GrpcCall;
class Http2Stream;
struct MethodInfo;

/// Response headers or trailers: lower-case names; values of names ending in "-bin" are raw bytes.
using Metadata = std::vector<std::pair<std::string, std::string>>;

/// A counted reference to a call. Copy, move and destroy it on any thread; use the call behind it
/// on its loop's thread only (post to call->loop()). It keeps the call's memory, not the call: when
/// the client has gone, everything done to the call is harmless and does nothing.
class CallRef {
 public:
  CallRef() = default;
  explicit CallRef(GrpcCall& call);
  CallRef(const CallRef& other);
  CallRef(CallRef&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  CallRef& operator=(CallRef other) noexcept {
    std::swap(call_, other.call_);
    return *this;
  }
  ~CallRef();

  GrpcCall* operator->() const { return call_; }
  GrpcCall& operator*() const { return *call_; }
  explicit operator bool() const { return call_ != nullptr; }

 private:
  GrpcCall* call_ = nullptr;
};

/// What a streaming method does with one call. Made by the method's factory when the call's headers
/// have arrived, destroyed when the call is over (finished and sent, or cancelled). Every function
/// is called on the call's loop thread and must not block it.
class GrpcHandler {
 public:
  virtual ~GrpcHandler() = default;

  /// One whole message, decompressed; valid during the call only.
  virtual void on_message(BytesView message) = 0;
  /// The client will send no more.
  virtual void on_half_close() {}
  /// The call ended without the handler's doing: reset, connection lost, or deadline passed.
  /// Nothing further is called.
  virtual void on_cancelled() {}
  /// After queued_bytes() was above the low water mark, it no longer is.
  virtual void on_writable() {}
};

/// The server's side of one gRPC call. Loop thread only. Nothing here blocks or fails: a call that
/// is over swallows what it is given, see active().
class GrpcCall {
 public:
  GrpcCall(const GrpcCall&) = delete;
  GrpcCall& operator=(const GrpcCall&) = delete;

  /// False from finish() on, and once the client or the deadline has ended the call.
  bool active() const { return state_ == State::kActive; }
  const MethodInfo& method() const { return *method_; }
  EventLoop& loop() const;
  /// The client's address, "host:port" ("[v6]:port"). Empty when the connection has gone.
  std::string_view peer() const;
  /// The common name in the client's certificate, if its connection showed a good one.
  std::optional<std::string> client_common_name() const;
  /// The first value of request header `name` (lower case); "-bin" values are decoded. Nothing once
  /// the call is over.
  std::optional<Bytes> metadata(std::string_view name) const;
  /// The same without a copy, for a name that does not end in "-bin"; until the call is over.
  std::optional<BytesView> metadata_view(std::string_view name) const;
  /// Every value of it.
  std::vector<Bytes> metadata_all(std::string_view name) const;
  /// When the client stops waiting; the call ends itself then.
  std::optional<EventLoop::Clock::time_point> deadline() const { return deadline_; }
  /// When the headers arrived.
  EventLoop::Clock::time_point started() const { return started_; }

  /// Sends response headers now, rather than with the first message. At most once, and before it.
  void send_headers(const Metadata& headers = {});
  /// Queues one message. A producer of many watches queued_bytes().
  void send(Message message);
  /// Whether a message may be sent in parts: not where answers are compressed.
  bool takes_parts() const { return !compress_; }
  /// Begins one message of `size_bytes` that is not in memory as a whole: send_part() adds to it,
  /// in order, with nothing else between. Requires takes_parts(). What would leave it incomplete
  /// or make it longer resets the call: with REFUSED_STREAM, after which clients try again, if it
  /// is finish(Unavailable).
  void begin_message(std::size_t size_bytes);
  void send_part(Slice part);
  /// Ends the call. `details` is an encoded google.rpc.Status, or empty. Queued messages go first.
  void finish(const absl::Status& status, BytesView details = {}, const Metadata& trailers = {});
  /// Ends the call at once: what is queued is dropped, and the client, which has not had a status,
  /// may try again (REFUSED_STREAM). `status` is for the books.
  void abandon(const absl::Status& status);
  /// A unary call's answer: one message and OK.
  void send_and_finish(Message message);

  /// Bytes of messages waiting for the client's flow control or socket.
  std::size_t queued_bytes() const;
  /// Called, each time, when queued_bytes() has fallen to the low water mark after being above it;
  /// for unary calls, whose answer has no handler.
  void set_on_writable(absl::AnyInvocable<void()> callback) { on_writable_ = std::move(callback); }
  /// Called at most once, if the call ends without finish(); for unary calls.
  void set_on_cancelled(absl::AnyInvocable<void()> callback) {
    on_cancelled_ = std::move(callback);
  }

  /// While paused, no message is delivered and the client may send one stream window, no more.
  void pause_reading();
  void resume_reading();

 private:
  friend class CallRef;
  friend class Http2Stream;

  enum class State : std::uint8_t {
    kIdle,       // in the pool, or headers still arriving
    kActive,     // the handler may send
    kFinishing,  // finished; queued bytes and trailers still to go
    kDone,       // nothing more will be sent
  };

  explicit GrpcCall(Http2Stream& stream);

  // From the session, by way of the stream.
  void on_headers(bool end_stream);
  void on_data(BytesView chunk, bool end_stream);
  void on_end_stream();
  void on_drained();
  void on_closed();
  void end_if_endless();
  void recycle();

  // Beginning.
  bool accept_headers();
  bool accept_metadata();
  bool accept_deadline();
  bool accept_encodings();
  void reject(int http_status, const absl::Status& status);
  void start();
  // Receiving.
  void deliver(BytesView& bytes);
  bool deliver_first(BytesView& bytes);
  void dispatch(BytesView message, bool more_follows);
  void hold(BytesView bytes);
  void drop_held(std::size_t size_bytes);
  void deliver_held();
  void finish_input();
  // Ending.
  void fail(const absl::Status& status);
  void reset(std::uint32_t error_code, absl::StatusCode code);
  void watch_the_rest();
  void tell_cancelled();
  void on_deadline();
  void report_finished(absl::StatusCode code);
  // Sending.
  void submit_headers(const Metadata& headers);
  void submit_trailers_only(int http_status, const absl::Status& status, BytesView details,
                            const Metadata& trailers);
  std::size_t append_framed(Message message);

  Http2Stream& stream_;
  State state_ = State::kIdle;
  bool headers_sent_ = false;
  bool compress_ = false;      // answers are gzipped
  bool request_gzip_ = false;  // requests may be
  bool reading_paused_ = false;
  bool delivering_ = false;           // a handler is being given messages
  bool half_closed_ = false;          // the request's end arrived
  bool input_finished_ = false;       // and was acted upon
  std::size_t unconsumed_bytes_ = 0;  // of the stream's window, while paused
  const MethodInfo* method_ = nullptr;
  std::unique_ptr<GrpcHandler> handler_;
  absl::AnyInvocable<void()> on_writable_;
  absl::AnyInvocable<void()> on_cancelled_;
  Bytes held_;                          // request bytes not yet delivered
  std::size_t missing_part_bytes_ = 0;  // of a message that was begun
  std::optional<EventLoop::Clock::time_point> deadline_;
  EventLoop::Clock::time_point started_;
  /// The client's deadline; once the answer is complete, when it is looked whether any is taken.
  Timer deadline_timer_;
  std::size_t untaken_bytes_ = 0;  // of a complete answer, when it was looked last
  std::uint64_t messages_received_ = 0;
  std::uint64_t messages_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  std::uint64_t bytes_sent_ = 0;
};

}  // namespace holdfast::net
