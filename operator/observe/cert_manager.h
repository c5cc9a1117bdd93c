#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "operator/kube/client.h"
#include "operator/observe/snapshot.h"

namespace holdfast::observe {

/// cert-manager's Certificates of a cluster that has to do with it: whose spec names it as an
/// issuer, or that still has Secrets which it filled. Other clusters cost no request, and the kind
/// is never watched: it may come and go while the operator runs, and what counts, the Secrets, is
/// watched anyway. An answer is kept for two seconds. Only read. Any thread.
class CertManagerCertificates {
 public:
  static constexpr std::chrono::seconds kKeep{2};
  static constexpr std::size_t kMaxKept = 4096;
  /// Two for each member and two for clients: more are not ours.
  static constexpr std::size_t kMaxCertificates = 256;

  explicit CertManagerCertificates(kube::Client& client) : client_(client) {}

  /// Adds to the snapshot what there is. Where the API server gives no answer, what it said before
  /// stands; before the first, `cert_manager` stays kNotAsked.
  void look_up(Snapshot& snapshot);

 private:
  struct Answer {
    CertManager state = CertManager::kNotAsked;
    std::vector<kube::Object> certificates;
    std::chrono::steady_clock::time_point until;
  };

  Answer ask(const kube::ObjectKey& cluster, const Answer& before) const;

  kube::Client& client_;
  std::mutex mutex_;  // guards all below
  std::map<kube::ObjectKey, Answer> kept_;
};

/// What keeps cert-manager from giving what the Certificate `name` asks for, and what to do.
std::string trouble_of_certificate(const Snapshot& snapshot, const std::string& name);

}  // namespace holdfast::observe
