#pragma once

#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "datastore/base/bytes.h"
#include "datastore/http/grpc_caller.h"
#include "datastore/http/json_methods.h"
#include "datastore/net/event_loop.h"

namespace holdfast::http {

/// A client that is sent one JSON text after another. Loop thread.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  /// False once ended, or when the client has gone.
  virtual bool active() const = 0;
  virtual std::size_t queued_bytes() const = 0;
  virtual void text(Bytes json) = 0;
  /// `error` is empty, or the body of an error's reply; that is the whole answer if no text() was
  /// before.
  virtual void end(const Reply* error) = 0;
};

/// One streaming call's answers on their way to a client, at the client's pace. Loop thread, except
/// what it is told as a reader.
class AnswerStream final : public GrpcStreamReader,
                           public std::enable_shared_from_this<AnswerStream> {
 public:
  AnswerStream(JsonMethod method, std::shared_ptr<AnswerSink> sink, net::EventLoop& loop);

  /// `call` may be null: then on_end() has been called.
  void follow(std::shared_ptr<GrpcStreamCall> call);
  /// The client has taken some.
  void go_on();
  /// The client has gone.
  void cancel();

  void on_message(Bytes message) override;
  void on_end(absl::Status status) override;

 private:
  /// What may wait for a slow client beyond one message.
  static constexpr std::size_t kMaxQueuedBytes = std::size_t{256} * 1024;

  void take(const Bytes& message);
  void end(const absl::Status& status);

  const JsonMethod method_;
  std::shared_ptr<AnswerSink> sink_;  // null once ended
  net::EventLoop& loop_;
  std::shared_ptr<GrpcStreamCall> call_;
  bool begun_ = false;
  bool wants_more_ = false;
};

}  // namespace holdfast::http
