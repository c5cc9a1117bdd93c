#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "datastore/http/reply.h"
#include "datastore/net/http.h"

namespace holdfast::http {

/// Calls a gRPC method of this member by name. Any thread; must not block.
class GrpcCaller {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Bytes>)>;

  virtual ~GrpcCaller() = default;
  /// path: "/etcdserverpb.KV/Range". metadata: lower-case names. `done` runs once, on any thread.
  virtual void call(const std::string& path, Bytes request,
                    std::vector<std::pair<std::string, std::string>> metadata, Done done) = 0;
};

/// The API as JSON: POST /v3/kv/range with a RangeRequest in protobuf's JSON form answers a
/// RangeResponse in it: bytes as base64, 64-bit integers as texts, field names as in the .proto.
/// Errors are {"code":…, "message":…} under the HTTP status that the gRPC code maps to.
/// Unary methods only: one with a stream answers 501. Any thread.
class Gateway {
 public:
  explicit Gateway(std::unique_ptr<GrpcCaller> caller);

  /// Whether the path is the gateway's: below /v3/, or /v3beta/ as of old.
  static bool owns(std::string_view path);
  void serve(const net::HttpRequest& request, ReplyDone done);

 private:
  std::unique_ptr<GrpcCaller> caller_;
};

}  // namespace holdfast::http
