#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "operator/actions/pass.h"
#include "operator/actions/writer.h"
#include "operator/api/cluster_status.h"
#include "operator/kube/client.h"

namespace holdfast::actions {

/// Carries out one step of the certificate planner: one write. Each names the version of the object
/// that was seen, and a write that finds another is no failure: the next pass looks again. Keys are
/// made here and leave only into Secrets. SetTlsMode is not among them: status is written first.
class CertificateWriter {
 public:
  /// What is passed outlives the writer. One pass; one thread.
  CertificateWriter(kube::Client& client, Writer& write, const Pass& pass)
      : client_(client), write_(write), pass_(pass) {}

  absl::Status carry_out(const reconcile::CertificateStep& step);

 private:
  absl::Status perform(const reconcile::CreateAuthority& step);
  absl::Status perform(const reconcile::PromoteAuthority& step);
  absl::Status perform(const reconcile::DeleteAuthority& step);
  absl::Status perform(const reconcile::DistributeBundle& step);
  absl::Status perform(const reconcile::IssueLeaf& step);
  absl::Status perform(const reconcile::InstallLeaf& step);
  absl::Status perform(const reconcile::TellApplications& step);
  absl::Status perform(const reconcile::SetTlsMode& step);
  absl::Status perform(const reconcile::SetPeerScheme& step);

  /// Writes the Secret's `data` (decoded; null removes a key) and annotations over what was seen.
  absl::Status put_secret(const std::string& name, const kube::Json& data,
                          const kube::Json& annotations = kube::Json::object());
  absl::Status put_leaf(api::Side side, const reconcile::Holder& holder,
                        const std::string& certificate, const std::string& key);
  const api::HoldfastCluster& cluster() const { return pass_.cluster(); }

  kube::Client& client_;
  Writer& write_;
  const Pass& pass_;
};

/// Whom a holder's certificate names and what it may be used for, whoever issues it.
struct Subject {
  std::string common_name;
  std::vector<std::string> names;
  bool for_servers = false;
};
Subject subject_of(const Pass& pass, api::Side side, const reconcile::Holder& holder);

/// Deletes the leaves of members that have left for good, with their keys. Only in calm: a member
/// is registered before it has anything else, and ordinals are never given again.
absl::Status delete_leaves_of_the_gone(Writer& write, const Pass& pass);

/// What status says of certificates after this pass: modes, phases, CAs, each member's earliest
/// end.
void write_tls_status(const Pass& pass, api::ClusterStatus& status);

/// Changes with everything that a member's Pod mounts: as an annotation it has the kubelet look at
/// once. Empty while there is nothing to mount.
std::string certificates_mark(const Pass& pass, int ordinal);

}  // namespace holdfast::actions
