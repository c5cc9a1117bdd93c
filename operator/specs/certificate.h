#pragma once

#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "operator/api/cluster.h"

/// What cert-manager is asked for: a Certificate, and the Secret that it fills.
namespace holdfast::specs {

/// One holder's certificate, as the operator's own CA would issue it.
struct CertificateRequest {
  /// Of the Certificate and of its Secret.
  std::string name;
  std::string common_name;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  bool for_servers = false;
};

/// The Certificate; sealed. Its issuer and its times are those of `side`. A new key each time, so
/// that no two certificates share one.
nlohmann::json certificate_object(const api::HoldfastCluster& cluster, api::Side side,
                                  const CertificateRequest& request);

/// What is said of the Secret that cert-manager fills, so that it is watched and known as the
/// cluster's. It goes with its Certificate and not before: cert-manager would make it anew. Sealed.
nlohmann::json issued_secret_object(const api::HoldfastCluster& cluster, const std::string& name,
                                    const std::string& certificate_uid);

}  // namespace holdfast::specs
