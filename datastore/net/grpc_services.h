#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "datastore/net/grpc_call.h"
#include "datastore/net/text.h"

namespace holdfast::net {

enum class MethodKind { kUnary, kServerStreaming, kClientStreaming, kBidiStreaming };

/// Answers one unary call: `request` is the whole message, valid during the call only. The answer
/// may come later, on the call's loop thread, through the CallRef.
using UnaryHandler = std::function<void(CallRef call, BytesView request)>;
/// Makes the handler of one streaming call. Null: the factory has finished the call itself.
using HandlerFactory = std::function<std::unique_ptr<GrpcHandler>(CallRef call)>;

/// One method as registered. Lives as long as the registry.
struct MethodInfo {
  std::string service;  // "etcdserverpb.KV"
  std::string name;     // "Range"
  std::string path;     // "/etcdserverpb.KV/Range"
  MethodKind kind = MethodKind::kUnary;
  /// Gzip the answer if the client accepts it, even if its request was not compressed.
  bool compress_if_accepted = false;
  /// Its calls last as long as both sides live: a server that stops ends them instead of waiting.
  bool endless = false;
  UnaryHandler unary;
  HandlerFactory factory;
};

/// What the server serves by gRPC. Filled before the server starts, constant from then on, so that
/// every loop reads it without a lock.
class GrpcServices {
 public:
  /// `path` is "/package.Service/Method". Registering a path twice is our bug.
  MethodInfo& unary(std::string_view path, UnaryHandler handler);
  /// A method whose requests or answers are streams. A server-streaming one is held to exactly one
  /// request message.
  MethodInfo& stream(std::string_view path, MethodKind kind, HandlerFactory factory);

  /// Null if there is no such method.
  const MethodInfo* find(std::string_view path) const;
  /// The answer for a path that find() doesn't know: UNIMPLEMENTED, with grpc-go's texts.
  absl::Status unknown(std::string_view path) const;
  /// Every method, in no particular order: for what is kept by method, such as metrics.
  template <class Visitor>
  void for_each(Visitor visit) const {
    for (const auto& [path, method] : methods_) visit(*method);
  }
  /// Names of all services, sorted: for reflection and health.
  std::vector<std::string> service_names() const;

 private:
  MethodInfo& add(std::string_view path, MethodKind kind);

  absl::flat_hash_map<std::string, std::unique_ptr<MethodInfo>, TextHash, TextEqual> methods_;
  absl::flat_hash_set<std::string, TextHash, TextEqual> services_;
};

}  // namespace holdfast::net
