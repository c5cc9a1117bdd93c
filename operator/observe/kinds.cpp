#include "operator/observe/kinds.h"

#include <array>
#include <utility>

namespace holdfast::observe {

std::optional<kube::Resource> resource_of(std::string_view kind) {
  using Entry = std::pair<std::string_view, const kube::Resource*>;
  static const std::array<Entry, 11> kMade = {{
      {"Pod", &kinds::kPods},
      {"PersistentVolumeClaim", &kinds::kClaims},
      {"Service", &kinds::kServices},
      {"ServiceAccount", &kinds::kServiceAccounts},
      {"ConfigMap", &kinds::kConfigMaps},
      {"Secret", &kinds::kSecrets},
      {"PodDisruptionBudget", &kinds::kBudgets},
      {"NetworkPolicy", &kinds::kNetworkPolicies},
      {"ServiceMonitor", &kinds::kServiceMonitors},
      {"PrometheusRule", &kinds::kAlertRules},
      {"Certificate", &kinds::kCertificates},
  }};
  for (const auto& [name, resource] : kMade) {
    if (name == kind) return *resource;
  }
  return std::nullopt;
}

}  // namespace holdfast::observe
