#pragma once

#include "nlohmann/json.hpp"
#include "operator/api/cluster.h"
#include "operator/specs/object.h"

/// Kinds of the Prometheus operator, which a Kubernetes may or may not have.
namespace holdfast::specs {

ObjectKey service_monitor_key(const api::HoldfastCluster& cluster);
ObjectKey alert_rules_key(const api::HoldfastCluster& cluster);

/// Scrapes every member's metrics port, ready or not.
nlohmann::json service_monitor(const api::HoldfastCluster& cluster);

/// Alerts on what members' own metrics say: quorum in danger, no leader, little room left, slow
/// syncs, certificates near their end.
nlohmann::json alert_rules(const api::HoldfastCluster& cluster);

}  // namespace holdfast::specs
