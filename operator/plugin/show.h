#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "operator/plugin/views.h"

/// What the commands print. Pure.
namespace holdfast::plugin {

/// Columns as wide as what is in them, two spaces between; the first row is the heading. Control
/// characters become spaces.
std::string table(const std::vector<std::vector<std::string>>& rows);

/// One line for each cluster, as `kubectl get hfc` has it, with quorum and proved backups.
std::string show_clusters(const std::vector<ClusterView>& views, bool with_namespace,
                          absl::Time now);

/// Everything of one: its members, what is under way, and conditions that ask for attention.
std::string show_cluster(const ClusterView& view, absl::Time now);

/// The clusters as a JSON list: what the API server has, and stores' sizes.
std::string clusters_as_json(const std::vector<ClusterView>& views);

/// "5d", "3h", "12m", "40s": as kubectl's AGE.
std::string short_age(absl::Duration age);
/// "1.5 GiB"
std::string short_bytes(std::int64_t bytes);

}  // namespace holdfast::plugin
