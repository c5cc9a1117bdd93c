#pragma once

#include <string>

#include "nlohmann/json.hpp"
#include "operator/api/cluster.h"

namespace holdfast::specs {

/// Who may reach members: each other on the peer port, clients and the operator on the client
/// port, anyone on the metrics port (it tells no data, and kubelets and Prometheus come from
/// places that no selector names). Nothing is said of what members reach.
nlohmann::json network_policy(const api::HoldfastCluster& cluster,
                              const std::string& operator_namespace);

}  // namespace holdfast::specs
