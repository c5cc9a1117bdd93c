#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace holdfast::net {

struct MethodInfo;

/// What one finished call was. The views live for the call of rpc_finished() only.
struct RpcSummary {
  const MethodInfo* method = nullptr;
  std::string_view peer;
  absl::StatusCode code = absl::StatusCode::kOk;
  std::chrono::nanoseconds duration{0};
  std::uint64_t messages_received = 0;
  std::uint64_t messages_sent = 0;
  std::uint64_t bytes_received = 0;  // of messages, without the 5-byte prefix
  std::uint64_t bytes_sent = 0;
};

/// Where the front door tells what happens: metrics and log lines are the listener's affair. Called
/// from every loop's thread at once, so it must be thread-safe, and must not block. The default
/// does nothing.
class NetObserver {
 public:
  virtual ~NetObserver() = default;

  virtual void connection_opened(std::string_view /*peer*/) {}
  virtual void connection_closed(std::string_view /*peer*/, std::string_view /*reason*/) {}
  /// At the listener: too many connections, or no descriptors left.
  virtual void connection_refused(std::string_view /*peer*/, std::string_view /*reason*/) {}
  /// The peer broke a protocol or a bound; the connection or stream suffers for it.
  virtual void protocol_error(std::string_view /*peer*/, std::string_view /*what*/) {}
  /// `loop` is the loop's index: counters can be kept per loop, uncontended.
  virtual void rpc_started(int /*loop*/, const MethodInfo& /*method*/) {}
  virtual void message_received(int /*loop*/, const MethodInfo& /*method*/,
                                std::size_t /*size_bytes*/) {}
  virtual void message_sent(int /*loop*/, const MethodInfo& /*method*/,
                            std::size_t /*size_bytes*/) {}
  virtual void rpc_finished(int /*loop*/, const RpcSummary& /*summary*/) {}
};

}  // namespace holdfast::net
