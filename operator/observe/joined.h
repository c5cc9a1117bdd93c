#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "operator/member/client.h"
#include "operator/observe/snapshot.h"
#include "operator/reconcile/observed.h"

/// The running cluster that bootstrap.join names, asked at its own client URLs for as long as
/// members of it are left.
namespace holdfast::observe {

/// A member of it, or one that answered in its place.
struct JoinedMember {
  std::shared_ptr<const member::Client> client;
  member::Probe probe;
};

/// Whether it has to be asked: it is not joined yet, or members of it were seen last time.
bool has_joined_members(const api::HoldfastCluster& cluster);

/// Why that cluster cannot be joined as it is declared, and what to do; empty: it can. `probes`: of
/// its members; `list`: of its members too, if a quorum has confirmed one.
std::string refusal_to_join(const Snapshot& snapshot, const std::vector<member::Probe>& probes,
                            const member::MemberList* list);

/// Where a client URL leads; nothing if it can't be read, or is https and there is no `tls`. Its
/// host may be a name: this cluster is not ours, and DNS is asked.
std::optional<member::Endpoint> endpoint_of_url(const std::string& url,
                                                const std::optional<member::TlsMaterial>& tls);

/// Connections to joined clusters, and where their members were last said to be: endpoints need not
/// name all of them, but all of them count. Any thread.
class JoinedPool {
 public:
  explicit JoinedPool(member::Timeouts timeouts = {}) : timeouts_(timeouts) {}

  /// Those to ask in this pass: spec.bootstrap.join's endpoints and the client URLs that strangers
  /// were listed with. `secrets`: those that bootstrap.join names, by name. `session`: who we are
  /// to that cluster, of which ours will be.
  std::vector<std::shared_ptr<const member::Client>> of(
      const Snapshot& snapshot, const std::map<std::string, kube::Object>& secrets,
      std::shared_ptr<member::Session> session);

  /// Remembers the client URLs of those strangers, for the passes to come.
  void learn(const kube::ObjectKey& cluster, const std::vector<reconcile::Stranger>& strangers);

  /// compare(), but a learner that was found different is not hashed again for kDifferentFor: that
  /// is a read of everything, and what differs seldom comes to agree.
  reconcile::Comparison compare_once(const kube::ObjectKey& cluster, const member::Client& learner,
                                     const member::Client& leader, MemberId learner_id,
                                     std::chrono::steady_clock::time_point now);

  void forget(const kube::ObjectKey& cluster);

 private:
  static constexpr std::chrono::minutes kDifferentFor{5};

  struct Known {
    /// When which learner was last found different.
    std::map<MemberId, std::chrono::steady_clock::time_point> different;
    std::vector<std::string> urls;
    /// By URL and certificates.
    std::map<std::string, std::shared_ptr<const member::Client>> clients;
  };

  const member::Timeouts timeouts_;
  std::mutex mutex_;  // guards all below
  std::map<kube::ObjectKey, Known> clusters_;
};

/// Hashes what both have stored at the revision that the learner has reached: a read of everything,
/// so made only of one that is about to be promoted. kNotMade if either does not answer, or one of
/// them has compacted meanwhile.
reconcile::Comparison compare(const member::Client& learner, const member::Client& leader);

}  // namespace holdfast::observe
