#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace holdfast::rpc {

/// What the services take from the configuration.
struct Options {
  /// --max-request-bytes: held against the log entry that a request becomes.
  std::size_t max_request_bytes = 1536 * 1024;
  /// --max-txn-ops.
  std::size_t max_txn_ops = 128;
  /// --watch-progress-notify-interval.
  std::chrono::milliseconds watch_progress_notify_interval{10 * 60 * 1000};
  /// --election-timeout: how often it is looked whether streams that demand a leader have one.
  std::chrono::milliseconds election_timeout{1000};
  /// The etcd API level that Status reports, three numbers.
  std::string api_version = "3.7.1";
  /// What a storage at this level calls itself, in Status and snapshots.
  std::string storage_version = "3.7.0";
  /// How long a receiver may leave a snapshot untouched, and with it the pages it pins.
  std::chrono::milliseconds snapshot_stall_timeout{60'000};
};

/// What etcd's front door allows a message beyond max_request_bytes: for the transport's limit, and
/// where fragments of a watch response end.
inline constexpr std::size_t kMessageOverheadBytes = 512 * 1024;

}  // namespace holdfast::rpc
