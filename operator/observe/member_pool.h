#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "operator/member/client.h"
#include "operator/member/session.h"
#include "operator/observe/snapshot.h"

namespace holdfast::observe {

/// The members of one cluster that can be asked in this pass, by ordinal.
using Members = std::map<int, std::shared_ptr<const member::Client>>;

/// Connections to members, kept from one pass to the next: a member that is looked at every few
/// seconds needs no new handshake each time. One is dropped with the Pod, or once the address or
/// the certificates are others. Any thread.
class MemberPool {
 public:
  explicit MemberPool(member::Timeouts timeouts = {}) : timeouts_(timeouts) {}

  /// Those of the cluster's Pods that have an address, dialled at it under the member's own name:
  /// no DNS is asked. `tls`: what the operator shows and trusts; for
  /// Pods that were made to speak TLS to clients.
  Members of(const Snapshot& snapshot, const std::optional<member::TlsMaterial>& tls);

  /// Who the operator is to the cluster's members, all of which share it.
  std::shared_ptr<member::Session> session(const kube::ObjectKey& cluster);

  /// Ends the connections of a cluster that is gone.
  void forget(const kube::ObjectKey& cluster);

 private:
  struct Entry {
    std::string fingerprint;
    std::shared_ptr<const member::Client> client;
  };
  struct Known {
    std::shared_ptr<member::Session> session = std::make_shared<member::Session>();
    std::map<std::string, Entry> members;  // by the Pod's UID
  };

  const member::Timeouts timeouts_;
  std::mutex mutex_;  // guards all below
  std::map<kube::ObjectKey, Known> clusters_;
};

}  // namespace holdfast::observe
