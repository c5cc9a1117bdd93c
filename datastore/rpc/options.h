#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "datastore/base/memory_budget.h"
#include "datastore/crypto/password_pool.h"
#include "datastore/crypto/tokens.h"

namespace holdfast::rpc {

/// How callers become users.
struct LoginOptions {
  /// Null: nobody can log in, and no token is good. Outlives the services, as the pool does.
  crypto::Tokens* tokens = nullptr;
  crypto::PasswordPool* passwords = nullptr;
  /// --bcrypt-cost.
  int bcrypt_cost = crypto::kDefaultBcryptCost;
  /// --client-cert-auth: who brings no token is the user that its certificate names.
  bool certificates_name_users = false;
};

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
  LoginOptions login;
  /// How long a receiver may leave a snapshot untouched, and with it the pages it pins.
  std::chrono::milliseconds snapshot_stall_timeout{60'000};
  /// How long the receiver of a list may take nothing of it: then it loses it, and with it the
  /// place and the memory that others wait for. etcd keeps both for as long as the connection
  /// lives.
  std::chrono::milliseconds list_stall_timeout{60'000};
  /// What long answers reserve their memory from; null: there is no limit. Outlives the services
  /// and every call.
  MemoryBudget* memory = nullptr;
  /// How many long answers run, how many wait and how long: see ListGate.
  std::size_t max_running_lists = 16;
  std::size_t max_waiting_lists = 4096;
  std::chrono::milliseconds max_list_wait{10'000};
};

/// What etcd's front door allows a message beyond max_request_bytes: for the transport's limit, and
/// where fragments of a watch response end.
inline constexpr std::size_t kMessageOverheadBytes = 512 * 1024;

}  // namespace holdfast::rpc
