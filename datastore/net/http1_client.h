#pragma once

#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/net/dialer.h"
#include "datastore/net/event_loop.h"
#include "datastore/net/http.h"
#include "datastore/net/message.h"

namespace holdfast::net {

/// What to ask. Host, Content-Length, Transfer-Encoding and Connection are the client's to write.
struct Http1Request {
  std::string method = "GET";
  std::string target = "/";  // path and query, percent-encoded
  HttpHeaders headers;
  /// The whole body, with its length told, whatever the method.
  Bytes body;
  /// The body comes in pieces instead, by Http1Call::write() and finish(), chunked.
  bool body_follows = false;
  /// Never on an idle connection: for an answer that lasts, which should begin with the
  /// certificates of today.
  bool new_connection = false;
};

/// What was answered. Names in lower case.
struct Http1Response {
  int status = 0;
  HttpHeaders headers;
  Bytes body;  // fetch() only

  /// First value of `name` (lower case), or nothing.
  std::optional<std::string_view> header(std::string_view name) const;
};

/// Bounds of one call; a time of zero is no bound. The peer's silence counts against `read_idle`
/// once the request is written, and only while reading is not paused.
struct Http1Limits {
  std::chrono::milliseconds dial{2'000};     // name, connection and TLS handshake together
  std::chrono::milliseconds read_idle{0};    // between two reads that bring something
  std::chrono::milliseconds write_idle{0};   // between two writes while bytes wait to be written
  std::chrono::milliseconds total{0};        // from start() to on_done()
  std::size_t max_header_bytes = 64 * 1024;  // status line, headers and trailers
  std::size_t max_body_bytes = std::numeric_limits<std::size_t>::max();
};

/// Told what happens to one call, on the loop's thread, never from within start() or another
/// function of the call. In order: on_response, on_body as often as something arrives, on_done.
/// Each may do anything to the call, its destruction included: then nothing more is told.
class Http1ResponseHandler {
 public:
  virtual ~Http1ResponseHandler() = default;

  /// Status and headers. Interim answers (1xx) are not told.
  virtual void on_response(Http1Response head) = 0;
  /// Some bytes of the body, without the chunks' framing; valid during the call only.
  virtual void on_body(BytesView piece) = 0;
  /// What was written has gone but for Http1Call::kLowWaterBytes: a producer goes on.
  virtual void on_writable() {}
  /// The end, once, unless the call is destroyed before. OK: the answer came whole, whatever its
  /// status. Errors, all naming the URL: Unavailable if the peer can't be reached, or left before
  /// the end; DeadlineExceeded by Http1Limits; ResourceExhausted if headers or body are too large;
  /// DataLoss if what came is not HTTP/1.1; InvalidArgument if the request can't be sent;
  /// FailedPrecondition as Dialer::dial().
  virtual void on_done(absl::Status status) = 0;
};

class Http1ClientExchange;
class Http1Fetch;
struct Http1Origin;

/// One request and its answer. Destroying it cancels: the connection is closed unless the answer
/// had come whole. Loop thread only.
class Http1Call {
 public:
  explicit Http1Call(std::unique_ptr<Http1ClientExchange> exchange);
  ~Http1Call();
  Http1Call(const Http1Call&) = delete;
  Http1Call& operator=(const Http1Call&) = delete;

  /// A piece of the body of a request with body_follows, sent at the end of this turn, or once
  /// connected. The producer watches queued_bytes(): there is no other bound. Nothing after
  /// finish(), or after the call's end, is sent.
  void write(Bytes piece);
  void write(Slice piece);
  /// The body is whole.
  void finish();
  /// Bytes that the socket has not taken.
  std::size_t queued_bytes() const;

  /// Leaves what arrives in the socket, so that the peer's writes stall in time; what was read
  /// already, at most EventLoop::kReadBufferBytes, still comes.
  void pause_reading();
  void resume_reading();

  static constexpr std::size_t kLowWaterBytes = 64 * 1024;

 private:
  std::unique_ptr<Http1ClientExchange> exchange_;
};

/// Bounds of one Http1Client.
struct Http1ClientOptions {
  /// Connections kept for reuse once their answer came whole, and for how long. Less than a
  /// server's own limit (a real etcd: 5 s), so that few requests meet a connection that is just
  /// closing.
  std::size_t max_idle_connections = 2;
  std::chrono::milliseconds idle_timeout{3'000};
  /// Beyond so many at once fetch() fails.
  std::size_t max_fetches = 128;
};

/// HTTP/1.1 towards one address: as many connections at a time as there are calls, no pipelining,
/// no redirects, no compression, no proxies. Everything happens on one loop, without a thread.
/// Loop thread only; calls may outlive it.
///
///   Http1Client client(loop, dialer, *DialAddress::parse("http://10.0.0.2:2380"));
///   client.fetch({.target = "/version"}, {.total = seconds(5)},
///                [](absl::StatusOr<Http1Response> answer) { … });
///
///   // An endless answer: `stream` is an Http1ResponseHandler.
///   call_ = client.start({.target = "/raft/stream/message/1f", .headers = …},
///                        {.read_idle = seconds(5), .write_idle = seconds(5)}, stream);
///
///   // A body in pieces.
///   call_ = client.start({.method = "POST", .target = "/raft/snapshot", .body_follows = true}, …);
///   while (more && call_->queued_bytes() < kEnough) call_->write(next());   // and in
///   on_writable() call_->finish();
class Http1Client {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Http1Response>)>;

  Http1Client(EventLoop& loop, std::shared_ptr<const Dialer> dialer, DialAddress address,
              Http1ClientOptions options = {});
  /// Cancels the fetches under way, which are told so; closes idle connections.
  ~Http1Client();
  Http1Client(const Http1Client&) = delete;
  Http1Client& operator=(const Http1Client&) = delete;

  /// Sends `request`, on an idle connection or a new one. `handler` must outlive the call.
  std::unique_ptr<Http1Call> start(Http1Request request, const Http1Limits& limits,
                                   Http1ResponseHandler& handler);
  /// The same for an answer that is wanted whole: `done` once, never from within. No body_follows.
  /// The body is bounded by `limits`, at most kMaxFetchBytes. Errors: as on_done(), and Cancelled
  /// if the client is destroyed; a status such as 500 is an answer.
  void fetch(Http1Request request, Http1Limits limits, Done done);

  const DialAddress& address() const;

  static constexpr std::size_t kMaxFetchBytes = 64UL * 1024 * 1024;

 private:
  std::shared_ptr<Http1Origin> origin_;
};

}  // namespace holdfast::net
