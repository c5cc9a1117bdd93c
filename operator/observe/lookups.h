#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "operator/kube/client.h"
#include "operator/observe/assemble.h"
#include "operator/observe/snapshot.h"

namespace holdfast::observe {

/// Asks the API server for what is rarely needed and so never watched: whether a storage class
/// lets volumes grow, and where a volume can be used. Answers are kept for a minute. What may not
/// be read counts as: cannot grow, not lost. Any thread.
class Lookups {
 public:
  static constexpr std::chrono::seconds kKeep{60};
  static constexpr std::size_t kMaxKept = 4096;

  explicit Lookups(kube::Client& client) : client_(client) {}

  /// Only for claims that are smaller than wished for, and claims on nodes that are gone.
  LookedUp look_up(const Snapshot& snapshot);

 private:
  struct Answer {
    bool yes = false;
    std::chrono::steady_clock::time_point until;
  };

  bool can_grow(const std::string& storage_class);
  bool is_bound_to_gone_node(const Snapshot& snapshot, const std::string& volume);
  template <class Ask>
  bool ask(const std::string& question, const Ask& ask);

  kube::Client& client_;
  std::mutex mutex_;  // guards all below
  std::map<std::string, Answer> answers_;
};

}  // namespace holdfast::observe
