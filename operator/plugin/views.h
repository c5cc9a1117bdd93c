#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "operator/api/cluster.h"
#include "operator/kube/client.h"

/// What the commands read: with the user's rights, within bounds.
namespace holdfast::plugin {

struct ClusterView {
  api::HoldfastCluster cluster;
  kube::Json object;  ///< as the API server sent it
  /// Bytes of members' stores, by member; those that could be asked.
  std::map<std::string, std::int64_t> store_bytes;
};

/// Where to look: a namespace (empty: all), and one cluster of it (empty: each).
struct Scope {
  std::string ns;
  std::string name;
};

/// By namespace and name. Errors: the API's; NotFound if the cluster that is named is not there.
absl::StatusOr<std::vector<ClusterView>> read_clusters(kube::Client& client, const Scope& scope);

/// Asks each member's metrics page through the API server; who may not, or does not answer, is left
/// out.
void ask_members(kube::Client& client, ClusterView& view);

/// The value of a metric without labels on a Prometheus page; nothing if it is not there.
std::optional<double> metric_on(std::string_view page, std::string_view name);

}  // namespace holdfast::plugin
