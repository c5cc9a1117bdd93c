#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>

#include "absl/status/statusor.h"
#include "datastore/http/answer_stream.h"
#include "datastore/http/grpc_caller.h"
#include "datastore/http/json_methods.h"
#include "datastore/net/http.h"
#include "datastore/net/web_socket.h"

namespace holdfast::http {

/// One method called through a WebSocket: each message is a request in JSON (of a method that
/// streams them: one or several), each answer a text message, with what HTTP's lines would say. It
/// ends with the call's end, or the client's; a client that is not heard of for two pings' time is
/// given up.
///
/// Loop thread. Kept alive by the connection's upload and by the call.
class WebSocketCall final : public AnswerSink,
                            public net::WebSocketReader::Receiver,
                            public std::enable_shared_from_this<WebSocketCall> {
 public:
  /// Bigger messages than the API takes as a body end the conversation.
  static constexpr std::size_t kMaxMessageBytes = std::size_t{2} << 20;
  static constexpr std::chrono::seconds kPingInterval{30};
  /// With more to be taken, the client's pings are not answered.
  static constexpr std::size_t kMaxQueuedPongBytes = std::size_t{64} << 10;
  /// Of requests that have not left for the call yet; with more the client is not read.
  static constexpr std::size_t kMaxUnsentBytes = std::size_t{1} << 20;
  /// What all conversations may hold of their clients' messages together; who would hold more is
  /// told to try again later.
  static constexpr std::size_t kMaxHeldBytes = std::size_t{64} << 20;
  using HeldBytes = std::atomic<std::size_t>;

  /// `caller` outlives it. An error of `method` is told the client. `held`: what conversations
  /// hold.
  WebSocketCall(GrpcCaller& caller, absl::StatusOr<JsonMethod> method, GrpcMetadata metadata,
                net::HttpResponderRef responder, std::shared_ptr<HeldBytes> held);
  ~WebSocketCall() override;

  /// Once, after make_shared: answers 101 with `headers`.
  void begin(net::HttpHeaders headers);
  /// What the client sent.
  void take(BytesView bytes);

  bool active() const override { return responder_->active(); }
  std::size_t queued_bytes() const override { return responder_->queued_bytes(); }
  void text(Bytes json) override;
  void end(const Reply* error) override;

  void on_message(BytesView message) override;
  void on_ping(BytesView payload) override;
  void on_pong() override {}
  void on_end(net::WebSocketEnd why) override;

 private:
  class Answers;

  void ask_once(const Bytes& json);
  void ask_more(const Bytes& json);
  void fail(const absl::Status& status);
  void on_sent();
  /// Brings the account of what is held up to date.
  void account();
  void on_ping_due();
  /// Ends the conversation, and the call with it.
  void finish(net::WebSocketEnd why);
  void cancel();

  GrpcCaller& caller_;
  const absl::StatusOr<JsonMethod> method_;
  const GrpcMetadata metadata_;
  const net::HttpResponderRef responder_;
  net::WebSocketReader reader_{kMaxMessageBytes};
  bool asked_ = false;
  std::shared_ptr<AnswerStream> answers_;
  std::shared_ptr<GrpcStreamCall> stream_;  // that is open for requests
  std::shared_ptr<GrpcCallHandle> call_;    // of one request and one answer
  std::deque<std::size_t> unsent_;          // sizes
  std::size_t unsent_bytes_ = 0;
  const std::shared_ptr<HeldBytes> held_;
  std::size_t accounted_bytes_ = 0;
  bool heard_ = true;
  net::Timer ping_timer_;
};

}  // namespace holdfast::http
