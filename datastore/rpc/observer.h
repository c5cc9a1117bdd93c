#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace holdfast::rpc {

/// Where the services tell what happens; metrics and log lines are the listener's affair. Called on
/// every loop's thread, so thread-safe and quick. `loop` is the loop's index. The default does
/// nothing.
class Observer {
 public:
  virtual ~Observer() = default;

  /// A call arrived; `version` is what the client says of itself, or "unknown".
  virtual void client_request(bool /*streaming*/, std::string_view /*version*/) {}
  virtual void watch_stream_opened(int /*loop*/) {}
  virtual void watch_stream_closed(int /*loop*/) {}
  /// How many there are on this loop now, and how many of them are behind.
  virtual void watchers_changed(int /*loop*/, std::size_t /*watchers*/, std::size_t /*slow*/) {}
  virtual void events_sent(int /*loop*/, std::size_t /*events*/) {}
  virtual void snapshot_started(std::uint64_t /*size_bytes*/) {}
  virtual void snapshot_finished(std::chrono::nanoseconds /*took*/,
                                 const absl::Status& /*status*/) {}
  virtual void defragment_finished(std::chrono::nanoseconds /*took*/,
                                   const absl::Status& /*status*/) {}
};

}  // namespace holdfast::rpc
