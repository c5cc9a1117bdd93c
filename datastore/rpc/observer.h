#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/codec/internal_request.h"
#include "datastore/statemachine/command.h"
#include "datastore/statemachine/outcome.h"

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
  /// So many watches were sent `events` events each; all of that took `took`.
  virtual void events_sent(int /*loop*/, std::size_t /*watches*/, std::size_t /*events*/,
                           std::chrono::nanoseconds /*took*/) {}
  /// A watch was created, refused or canceled, and the client told.
  virtual void watch_request_answered(int /*loop*/, std::chrono::nanoseconds /*took*/) {}
  virtual void progress_sent(int /*loop*/, std::chrono::nanoseconds /*took*/) {}
  /// A request has been through the log, or failed on its way (`applied` false).
  virtual void proposal_finished(int /*loop*/, codec::CommandField /*what*/,
                                 std::chrono::nanoseconds /*took*/, bool /*applied*/) {}
  /// A transaction that only reads; the outcome may be an error.
  virtual void read_only_txn_finished(int /*loop*/, const statemachine::TxnRequest& /*request*/,
                                      const absl::StatusOr<statemachine::Outcome>& /*outcome*/,
                                      std::chrono::nanoseconds /*took*/) {}
  virtual void lease_renewed(int /*loop*/) {}
  /// Somebody could not log in as `user`.
  virtual void login_refused(std::string_view /*user*/, const absl::Status& /*why*/) {}
  virtual void snapshot_started(std::uint64_t /*size_bytes*/) {}
  virtual void snapshot_finished(std::chrono::nanoseconds /*took*/,
                                 const absl::Status& /*status*/) {}
  virtual void defragment_finished(std::chrono::nanoseconds /*took*/,
                                   const absl::Status& /*status*/) {}
};

}  // namespace holdfast::rpc
