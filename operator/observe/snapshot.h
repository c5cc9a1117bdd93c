#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/api/cluster.h"
#include "operator/api/operation.h"
#include "operator/kube/json.h"
#include "operator/kube/resource.h"

namespace holdfast::observe {

/// What is known of a node.
struct Node {
  std::string zone;
};

/// What was learned of cert-manager, for a cluster that has to do with it.
enum class CertManager {
  kNotAsked,
  kServed,     ///< `standing` has the cluster's Certificates
  kAbsent,     ///< its kinds are not served: it is not installed
  kForbidden,  ///< they are, and we may not read them
};

/// One cluster's objects as the caches have them at one time. Objects are shared, never changed.
struct Snapshot {
  kube::Object object;  ///< the HoldfastCluster as the API server sends it
  api::HoldfastCluster cluster;
  std::vector<kube::Object> pods;        ///< by key; those that carry the cluster's label
  std::vector<kube::Object> claims;      ///< likewise
  std::vector<kube::Object> operations;  ///< those that name the cluster, by key
  std::vector<kube::Object> restores;    ///< likewise
  /// Services, budgets, policies, accounts, ConfigMaps, Secrets and so on, by kind and name.
  std::map<std::pair<std::string, std::string>, kube::Object> standing;
  /// Of Services' full names.
  std::string cluster_domain = "cluster.local";
  CertManager cert_manager = CertManager::kNotAsked;
  /// Absent: we may not read nodes, so none is ever known to be gone.
  std::optional<std::map<std::string, Node>> nodes;

  /// Of `standing`; null if there is none.
  kube::Object find_standing(const std::string& kind, const std::string& name) const {
    const auto found = standing.find({kind, name});
    return found == standing.end() ? nullptr : found->second;
  }
};

}  // namespace holdfast::observe
