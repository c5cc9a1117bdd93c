#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>

#include "operator/kube/client.h"
#include "operator/observe/snapshot.h"

namespace holdfast::observe {

/// The Secrets that spec.tls, spec.auth, spec.encryptionAtRest and spec.bootstrap.join name. They
/// carry no label of ours, so no watch shows them: each is asked for by name, and kept for half a
/// minute. Only read. Any thread.
class UserSecrets {
 public:
  static constexpr std::chrono::seconds kKeep{30};
  static constexpr std::size_t kMaxKept = 4096;

  explicit UserSecrets(kube::Client& client) : client_(client) {}

  /// By name; one that does not exist, or that we may not read, is absent.
  std::map<std::string, kube::Object> look_up(const Snapshot& snapshot);

 private:
  struct Kept {
    kube::Object object;  // null: it was not there
    std::chrono::steady_clock::time_point until;
  };

  kube::Object get(const kube::ObjectKey& key);

  kube::Client& client_;
  std::mutex mutex_;  // guards all below
  std::map<kube::ObjectKey, Kept> kept_;
};

}  // namespace holdfast::observe
