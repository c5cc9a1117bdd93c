#pragma once

#include <memory>
#include <string_view>

#include "datastore/http/grpc_caller.h"
#include "datastore/http/reply.h"
#include "datastore/http/web_socket_call.h"
#include "datastore/net/http.h"

namespace holdfast::http {

/// The API as JSON: POST /v3/kv/range with a RangeRequest in protobuf's JSON form answers a
/// RangeResponse in it. Errors are {"code":…, "message":…} under the HTTP status that the gRPC code
/// maps to.
///
/// A method whose requests are a stream takes one JSON object after another as the body. One whose
/// answers are a stream answers a line {"result":…} each, as it comes and as fast as the client
/// reads; an error after the first is a last line {"error":…}. Through a WebSocket requests and
/// answers are messages, each as it comes. A client that goes ends its call. Any thread.
class Gateway {
 public:
  explicit Gateway(std::unique_ptr<GrpcCaller> caller);

  /// Whether the path is the gateway's: below /v3/, or /v3beta/ as of old.
  static bool owns(std::string_view path);

  /// Where an answer goes, on its loop's thread, with `headers` added.
  struct Answer {
    net::HttpResponderRef responder;
    net::HttpHeaders headers;
  };
  /// On the request's loop.
  void serve(const net::HttpRequest& request, Answer answer);
  /// Answers a request for a WebSocket. Null: with a refusal.
  std::unique_ptr<net::HttpUpload> converse(const net::HttpRequest& request, Answer answer);

 private:
  std::unique_ptr<GrpcCaller> caller_;
  std::shared_ptr<WebSocketCall::HeldBytes> held_ = std::make_shared<WebSocketCall::HeldBytes>(0);
};

}  // namespace holdfast::http
