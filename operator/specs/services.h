#pragma once

#include "nlohmann/json.hpp"
#include "operator/api/cluster.h"

namespace holdfast::specs {

/// Names for members, ready or not: peers have to find each other before anyone is ready, and
/// metrics are wanted most of those that aren't.
nlohmann::json peer_service(const api::HoldfastCluster& cluster);

/// The way in for clients: voters that are ready.
nlohmann::json client_service(const api::HoldfastCluster& cluster);

}  // namespace holdfast::specs
