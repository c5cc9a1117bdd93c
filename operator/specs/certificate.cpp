#include "operator/specs/certificate.h"

#include <algorithm>

#include "operator/api/duration.h"
#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/specs/object.h"

namespace holdfast::specs {
namespace {

using nlohmann::json;

constexpr std::string_view kCertManagerVersion = "cert-manager.io/v1";
/// The most that a subject's common name holds (X.520).
constexpr std::size_t kMaxCommonNameBytes = 64;

}  // namespace

json certificate_object(const api::HoldfastCluster& cluster, api::Side side,
                        const CertificateRequest& request) {
  const api::TlsSide& wanted = cluster.spec.tls.of(side);
  json out = owned_object(cluster, {std::string(kCertManagerVersion), "Certificate", request.name});
  json usages = json::array({"digital signature", "client auth"});
  if (request.for_servers) usages.push_back("server auth");
  json& spec = out["spec"];
  spec = {{"secretName", request.name},
          // Of a Secret that somebody deletes, cert-manager makes another: it is to be seen too.
          {"secretTemplate", {{"labels", cluster_labels(cluster)}}},
          {"commonName", request.common_name.substr(0, kMaxCommonNameBytes)},
          {"subject",
           {{"organizations",
             json::array({api::str_cat(cluster.metadata.ns, "/", cluster.metadata.name)})}}},
          {"usages", std::move(usages)},
          {"privateKey",
           {{"algorithm", "ECDSA"},
            {"size", 256},
            {"encoding", "PKCS8"},
            {"rotationPolicy", "Always"}}},
          {"duration", api::format_duration(wanted.duration)},
          {"renewBefore", api::format_duration(wanted.renew_before)}};
  if (!request.dns_names.empty()) spec["dnsNames"] = request.dns_names;
  if (!request.ip_addresses.empty()) spec["ipAddresses"] = request.ip_addresses;
  if (wanted.issuer_ref) {
    spec["issuerRef"] = {{"name", wanted.issuer_ref->name},
                         {"kind", wanted.issuer_ref->kind},
                         {"group", wanted.issuer_ref->group}};
  }
  seal(out);
  return out;
}

json issued_secret_object(const api::HoldfastCluster& cluster, const std::string& name,
                          const std::string& certificate_uid) {
  json out = {{"apiVersion", "v1"},
              {"kind", "Secret"},
              {"metadata",
               {{"name", name},
                {"namespace", cluster.metadata.ns},
                {"labels", cluster_labels(cluster)},
                {"annotations", {{std::string(api::annotation::kOwnerUid), cluster.metadata.uid}}},
                {"ownerReferences", json::array({{{"apiVersion", kCertManagerVersion},
                                                  {"kind", "Certificate"},
                                                  {"name", name},
                                                  {"uid", certificate_uid},
                                                  {"controller", true}}})}}}};
  seal(out);
  return out;
}

}  // namespace holdfast::specs
