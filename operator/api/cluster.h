#pragma once

#include <string_view>

#include "operator/api/cluster_spec.h"
#include "operator/api/cluster_status.h"
#include "operator/api/metadata.h"
#include "operator/api/resource.h"

namespace holdfast::api {

/// A replicated datastore and everything that keeps it running.
struct HoldfastCluster {
  static constexpr std::string_view kKind = "HoldfastCluster";
  static constexpr std::string_view kPlural = "holdfastclusters";

  ObjectMeta metadata;
  ClusterSpec spec;
  ClusterStatus status;

  friend bool operator==(const HoldfastCluster&, const HoldfastCluster&) = default;
};

}  // namespace holdfast::api
