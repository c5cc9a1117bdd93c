#pragma once

#include <optional>
#include <string_view>

#include "operator/kube/resource.h"

/// The kinds of the API that the operator touches.
namespace holdfast::observe {

namespace kinds {
inline const kube::Resource kClusters{"holdfast.dev", "v1alpha1", "holdfastclusters"};
inline const kube::Resource kOperations{"holdfast.dev", "v1alpha1", "holdfastoperations"};
inline const kube::Resource kBackups{"holdfast.dev", "v1alpha1", "holdfastbackups"};
inline const kube::Resource kSchedules{"holdfast.dev", "v1alpha1", "holdfastbackupschedules"};
inline const kube::Resource kRestores{"holdfast.dev", "v1alpha1", "holdfastrestores"};
inline const kube::Resource kPods{"", "v1", "pods"};
inline const kube::Resource kClaims{"", "v1", "persistentvolumeclaims"};
inline const kube::Resource kServices{"", "v1", "services"};
inline const kube::Resource kServiceAccounts{"", "v1", "serviceaccounts"};
inline const kube::Resource kConfigMaps{"", "v1", "configmaps"};
inline const kube::Resource kSecrets{"", "v1", "secrets"};
inline const kube::Resource kBudgets{"policy", "v1", "poddisruptionbudgets"};
inline const kube::Resource kNetworkPolicies{"networking.k8s.io", "v1", "networkpolicies"};
inline const kube::Resource kNodes{"", "v1", "nodes", false};
inline const kube::Resource kVolumes{"", "v1", "persistentvolumes", false};
inline const kube::Resource kStorageClasses{"storage.k8s.io", "v1", "storageclasses", false};
inline const kube::Resource kServiceMonitors{"monitoring.coreos.com", "v1", "servicemonitors"};
inline const kube::Resource kAlertRules{"monitoring.coreos.com", "v1", "prometheusrules"};
/// cert-manager's.
inline const kube::Resource kCertificates{"cert-manager.io", "v1", "certificates"};
}  // namespace kinds

/// The resource of a kind that specs/ makes; nothing for any other.
std::optional<kube::Resource> resource_of(std::string_view kind);

}  // namespace holdfast::observe
