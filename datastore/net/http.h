#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "datastore/base/bytes.h"
#include "datastore/net/event_loop.h"

namespace holdfast::net {

/// Names in lower case.
using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// One plain HTTP request, whole; by HTTP/1.1 or HTTP/2 alike.
struct HttpRequest {
  std::string method;  // "GET", …
  std::string path;    // as sent, percent-encoded, without the query
  std::string query;   // after '?', without it
  HttpHeaders headers;
  Bytes body;  // at most ConnectionLimits::max_http_body_bytes
  std::string peer;
  int http_major = 1;
  bool secure = false;  // it came over TLS
  /// Of the client's certificate, if its connection showed a good one.
  std::optional<std::string> client_common_name;

  /// First value of `name` (lower case), or nothing.
  std::optional<std::string_view> header(std::string_view name) const;
};

/// How the handler answers, at once or later. Loop thread only, but may be released on any thread.
/// An exchange whose client has gone swallows everything. Letting go of it unanswered answers 500.
class HttpResponder {
 public:
  virtual ~HttpResponder() = default;

  virtual EventLoop& loop() const = 0;
  /// False once finished, or when the client has gone.
  virtual bool active() const = 0;
  /// The whole answer. For HEAD the body's length is told and the body is not sent.
  virtual void respond(int status, HttpHeaders headers, Bytes body) = 0;
  /// An answer in pieces: start, then write until finish.
  virtual void start(int status, HttpHeaders headers) = 0;
  virtual void write(Bytes chunk) = 0;
  virtual void finish() = 0;
  /// Gives up on an answer that was started: the client sees that it is not whole.
  virtual void abandon() = 0;
  /// Bytes written that the client has not taken: a producer of much waits for on_writable.
  virtual std::size_t queued_bytes() const = 0;
  virtual void set_on_writable(absl::AnyInvocable<void()> callback) = 0;
  /// Called at most once, if the client goes before finish().
  virtual void set_on_cancelled(absl::AnyInvocable<void()> callback) = 0;
  /// For an HttpUpload that is not whole: leaves what the client sends in its socket, so that its
  /// writes stall in time; what was read already, at most EventLoop::kReadBufferBytes, still comes.
  /// The client's silence does not count meanwhile.
  virtual void pause_body() {}
  virtual void resume_body() {}
};

using HttpResponderRef = std::shared_ptr<HttpResponder>;

/// Takes a body of any size, piece by piece as it arrives. Loop thread only. Destroyed after
/// on_end(), or without it when the request is over before: answered early, or its client gone,
/// silent for ConnectionLimits::http_upload_stall_timeout or at odds with HTTP, of which
/// HttpResponder::set_on_cancelled tells. Never destroyed while one of its functions runs.
class HttpUpload {
 public:
  virtual ~HttpUpload() = default;
  /// `bytes` are valid during the call only.
  virtual void on_body(BytesView bytes) = 0;
  /// The body is whole; an answer is due.
  virtual void on_end() = 0;
};

/// Serves plain HTTP. Called on whichever loop the connection lives, so thread-safe; must not
/// block.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual void on_request(HttpRequest request, HttpResponderRef responder) = 0;
  /// Whether an HTTP/1.1 request, whose headers have come, goes to on_upload(), not on_request().
  virtual bool takes_uploads(const HttpRequest& /*request*/) const { return false; }
  /// Whether an HTTP/1.1 request without a body that asks for another protocol gets it: it goes to
  /// on_upload(), which answers it at once. After HttpResponder::start() with 101 all that the
  /// connection still carries is the body, for as long as both sides live, and what is written goes
  /// out as it is; finish() closes the connection.
  virtual bool takes_upgrade(const HttpRequest& /*request*/) const { return false; }
  /// Takes the body of `request`, which is empty here, as it comes. The answer goes to `responder`
  /// at any time; after one that precedes the body's end the connection closes. Null: the body is
  /// thrown away as it comes.
  virtual std::unique_ptr<HttpUpload> on_upload(const HttpRequest& /*request*/,
                                                const HttpResponderRef& /*responder*/) {
    return nullptr;
  }
};

/// "OK" for 200, and so on; "Unknown" for a code without a phrase of its own.
std::string_view http_reason(int status);

/// The `Date` header's value now: "Sun, 06 Nov 1994 08:49:37 GMT". Source: RFC 9110 section 5.6.7.
std::string http_date();

/// Splits an origin-form target at its '?'.
void split_target(std::string_view target, std::string& path, std::string& query);

}  // namespace holdfast::net
