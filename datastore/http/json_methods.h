#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/http/reply.h"

namespace google::protobuf {
class MethodDescriptor;
}

/// The API's methods by their JSON paths, and what their messages are in JSON: bytes as base64,
/// 64-bit integers as texts, field names as in the .proto. No I/O.
namespace holdfast::http {

/// One method. A value, for any thread.
class JsonMethod {
 public:
  explicit JsonMethod(const google::protobuf::MethodDescriptor& method) : method_(&method) {}

  bool streams_requests() const;
  bool streams_answers() const;
  /// "/etcdserverpb.KV/Range".
  std::string grpc_path() const;

  /// One request's bytes. No JSON at all is the empty request. Errors: InvalidArgument.
  absl::StatusOr<Bytes> request_from_json(const Bytes& json) const;
  /// What a body asks: one request, or as many as it has if the method streams them.
  absl::StatusOr<std::vector<Bytes>> requests_from_json(const Bytes& body) const;
  absl::StatusOr<Bytes> json_of(const Bytes& response) const;

 private:
  const google::protobuf::MethodDescriptor* method_;
};

/// Whether the path is below /v3/, or /v3beta/ as of old.
bool is_api_path(std::string_view path);
/// Errors: NotFound.
absl::StatusOr<JsonMethod> find_method(std::string_view path);

/// {"code":…, "message":…} under the HTTP status that the gRPC code maps to.
Reply error_reply(const absl::Status& status);

/// What an answer of gRPC's is marked with.
inline constexpr std::pair<std::string_view, std::string_view> kAnswered = {
    "grpc-metadata-content-type", "application/grpc"};

}  // namespace holdfast::http
