#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"

/// What the gateway wants of a gRPC client.
namespace holdfast::http {

/// Lower-case names.
using GrpcMetadata = std::vector<std::pair<std::string, std::string>>;

/// Hears from a streaming call. Called on any thread, one call at a time; must not block.
class GrpcStreamReader {
 public:
  virtual ~GrpcStreamReader() = default;
  /// The next comes only when GrpcStreamCall::next asks for it.
  virtual void on_message(Bytes message) = 0;
  /// One of the requests given to GrpcStreamCall::send has left. May overlap on_message().
  virtual void on_sent() {}
  /// Once, after the last message; nothing follows.
  virtual void on_end(absl::Status status) = 0;
};

/// A call under way. Any thread; harmless after its end.
class GrpcCallHandle {
 public:
  virtual ~GrpcCallHandle() = default;
  virtual void cancel() = 0;
};

class GrpcStreamCall : public GrpcCallHandle {
 public:
  /// Asks for one message: once before the first, and once after each.
  virtual void next() = 0;
  /// Queues a request of a call that was opened.
  virtual void send(Bytes request) = 0;
};

/// Calls a gRPC method of this member by its path, "/etcdserverpb.KV/Range". Any thread; must not
/// block. A null handle: the call could not begin, and whoever waits for its end has been told.
class GrpcCaller {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Bytes>)>;

  virtual ~GrpcCaller() = default;
  /// `done` runs once, on any thread.
  virtual std::shared_ptr<GrpcCallHandle> call(const std::string& path, Bytes request,
                                               GrpcMetadata metadata, Done done) = 0;
  /// A method whose requests or answers are streams: sends `requests`, then half-closes.
  virtual std::shared_ptr<GrpcStreamCall> stream(const std::string& path,
                                                 std::vector<Bytes> requests, GrpcMetadata metadata,
                                                 std::shared_ptr<GrpcStreamReader> reader) = 0;
  /// The same, but open for send() until it is cancelled.
  virtual std::shared_ptr<GrpcStreamCall> open(const std::string& path, GrpcMetadata metadata,
                                               std::shared_ptr<GrpcStreamReader> reader) = 0;
};

}  // namespace holdfast::http
