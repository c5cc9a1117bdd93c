#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>

#include "operator/member/answers.h"
#include "operator/observe/snapshot.h"

namespace holdfast::observe {

/// What members' metrics pages said last. A page is some hundred kilobytes and tells two things
/// that a pass needs: which certificates and CAs the member has loaded, and which key its volume is
/// sealed by. So pages are read while anything of these is under way; once all was settled, not
/// before something that it hangs on is another, and every kKeep at least. Any thread.
class KnownPages {
 public:
  using Clock = std::chrono::steady_clock;
  using Probes = std::map<int, member::Probe>;
  using Secrets = std::map<std::string, kube::Object>;
  static constexpr std::chrono::minutes kKeep{10};

  /// Whether this pass has to read them. `users`: the Secrets that spec names.
  bool must_read(const Snapshot& snapshot, const Secrets& users, Clock::time_point now) const;

  /// Gives what is known to members that answered and whose page was not read.
  void fill(const Snapshot& snapshot, Probes& probes) const;

  /// Keeps what pages said if all is `settled` by them, and nothing otherwise.
  void learn(const Snapshot& snapshot, const Secrets& users, const Probes& probes, bool settled,
             Clock::time_point now);

  void forget(const kube::ObjectKey& cluster);

 private:
  struct Known {
    std::string depends_on;
    Clock::time_point read_at;
    std::map<int, member::MetricsPage> pages;  // by ordinal
  };

  mutable std::mutex mutex_;  // guards all below
  std::map<kube::ObjectKey, Known> clusters_;
};

}  // namespace holdfast::observe
