#include "operator/observe/cert_manager.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "operator/api/names.h"
#include "operator/observe/issuer.h"
#include "operator/observe/kinds.h"

namespace holdfast::observe {

namespace {

using kube::Json;
using kube::Object;

constexpr std::string_view kKind = "Certificate";

bool concerns(const Snapshot& snapshot) {
  const api::Tls& tls = snapshot.cluster.spec.tls;
  if (tls.client.issuer == api::Issuer::kCertManager ||
      tls.peer.issuer == api::Issuer::kCertManager) {
    return true;
  }
  return std::any_of(snapshot.standing.begin(), snapshot.standing.end(), [](const auto& each) {
    return each.first.first == "Secret" && api::issued_for(each.first.second).has_value();
  });
}

/// The message of the condition Ready unless that is True.
std::string why_not_ready(const Json& certificate) {
  const Json* conditions = kube::find_at(certificate, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return "";
  for (const Json& condition : *conditions) {
    if (kube::text_at(condition, {"type"}) != "Ready") continue;
    if (kube::text_at(condition, {"status"}) == "True") return "";
    return std::string(kube::text_at(condition, {"message"}));
  }
  return "";
}

std::string issuer_text(const Json& certificate) {
  return absl::StrCat(std::string(kube::text_at(certificate, {"spec", "issuerRef", "kind"})), " ",
                      std::string(kube::text_at(certificate, {"spec", "issuerRef", "name"})));
}

}  // namespace

void CertManagerCertificates::look_up(Snapshot& snapshot) {
  if (!concerns(snapshot)) return;
  const kube::ObjectKey key{snapshot.cluster.metadata.ns, snapshot.cluster.metadata.name};
  Answer answer;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto known = kept_.find(key);
    if (known != kept_.end()) answer = known->second;
  }
  if (answer.until <= std::chrono::steady_clock::now()) {
    answer = ask(key, answer);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (kept_.size() >= kMaxKept) kept_.clear();
    kept_[key] = answer;
  }
  snapshot.cert_manager = answer.state;
  for (Object& each : answer.certificates) {
    std::string name(kube::name_of(*each));
    snapshot.standing.insert_or_assign(std::pair(std::string(kKind), std::move(name)), each);
  }
}

CertManagerCertificates::Answer CertManagerCertificates::ask(const kube::ObjectKey& cluster,
                                                             const Answer& before) const {
  kube::ListOptions options;
  options.ns = cluster.ns;
  options.label_selector = absl::StrCat(std::string(api::label::kCluster), "=", cluster.name);
  absl::StatusOr<kube::ListPage> listed =
      client_.list(kinds::kCertificates, options, kMaxCertificates);
  Answer answer = before;
  answer.until = std::chrono::steady_clock::now() + kKeep;
  if (listed.ok()) {
    answer.state = CertManager::kServed;
    answer.certificates.clear();
    for (Json& each : listed->items) {
      answer.certificates.push_back(std::make_shared<const Json>(std::move(each)));
    }
  } else if (absl::IsNotFound(listed.status())) {
    answer.state = CertManager::kAbsent;
    answer.certificates.clear();
  } else if (absl::IsPermissionDenied(listed.status())) {
    answer.state = CertManager::kForbidden;
    answer.certificates.clear();
  }
  return answer;
}

std::string trouble_of_certificate(const Snapshot& snapshot, const std::string& name) {
  switch (snapshot.cert_manager) {
    case CertManager::kAbsent:
      return "cert-manager is not installed here: there is no kind Certificate of "
             "cert-manager.io/v1; install it, or choose another issuer in spec.tls";
    case CertManager::kForbidden:
      return "the operator may not use Certificates of cert-manager.io: upgrade its chart, which "
             "grants that where cert-manager is installed";
    case CertManager::kNotAsked:
      return "the API server has not said yet whether cert-manager is installed";
    case CertManager::kServed:
      break;
  }
  const Object certificate = snapshot.find_standing(std::string(kKind), name);
  if (!certificate) {
    return absl::StrCat("Certificate ", name,
                        " is not made yet; if it stays away, the cluster's events say why");
  }
  const std::string said = why_not_ready(*certificate);
  return absl::StrCat("cert-manager has not issued Certificate ", name, " yet",
                      said.empty() ? "" : ": ", said, "; see that ", issuer_text(*certificate),
                      " exists and is ready, and kubectl describe certificate ", name);
}

}  // namespace holdfast::observe
