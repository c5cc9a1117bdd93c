#include "operator/actions/issued.h"

#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "operator/actions/certificates.h"
#include "operator/kube/api_error.h"
#include "operator/observe/assemble.h"
#include "operator/observe/issuer.h"
#include "operator/observe/kinds.h"
#include "operator/pki/names.h"
#include "operator/specs/certificate.h"
#include "operator/specs/difference.h"

namespace holdfast::actions {

namespace {

using api::Side;
using kube::Json;
using kube::Object;
using reconcile::Holder;

namespace kinds = observe::kinds;

const std::string kCertificateKind = "Certificate";
const std::string kSecretKind = "Secret";

class Asking {
 public:
  Asking(Writer& write, const Pass& pass) : write_(write), pass_(pass) {}

  Asked run() {
    std::set<std::string> wanted;
    for (const Side side : {Side::kClient, Side::kPeer}) {
      if (!is_cert_managers(side)) continue;
      for (const Holder& holder : holders(side)) {
        const specs::CertificateRequest request = request_of(side, holder);
        wanted.insert(request.name);
        if (pass_.snapshot.cert_manager == observe::CertManager::kServed) ask(side, request);
      }
    }
    // Who needs a certificate is only known for sure while a quorum says who the members are.
    if (pass_.certificates.calm) take_back_all_but(wanted);
    return std::move(asked_);
  }

 private:
  const api::HoldfastCluster& cluster() const { return pass_.cluster(); }

  const reconcile::CertificateSide& side_of(Side side) const {
    return side == Side::kClient ? pass_.certificates.client : pass_.certificates.peer;
  }

  bool is_cert_managers(Side side) const {
    const reconcile::CertificateSide& seen = side_of(side);
    const bool speaks_tls =
        seen.wishes.enabled || seen.mode.value_or(api::TlsMode::kOff) != api::TlsMode::kOff;
    return speaks_tls && seen.wishes.issuer == api::Issuer::kCertManager;
  }

  std::vector<Holder> holders(Side side) const {
    std::vector<Holder> all;
    for (const reconcile::CertifiedMember& member : side_of(side).members) {
      all.push_back({Holder::Kind::kMember, member.ordinal});
    }
    if (side == Side::kClient) {
      all.push_back({Holder::Kind::kOperator, 0});
      all.push_back({Holder::Kind::kApplication, 0});
    }
    return all;
  }

  specs::CertificateRequest request_of(Side side, const Holder& holder) const {
    const Subject subject = subject_of(pass_, side, holder);
    specs::CertificateRequest request;
    request.name = observe::offering_secret(pass_.snapshot, side, holder);
    request.common_name = subject.common_name;
    request.for_servers = subject.for_servers;
    for (const std::string& name : subject.names) {
      const bool address = pki::address_bytes(name).has_value();
      (address ? request.ip_addresses : request.dns_names).push_back(name);
    }
    return request;
  }

  void ask(Side side, const specs::CertificateRequest& request) {
    const Object certificate =
        hold(kinds::kCertificates, specs::certificate_object(cluster(), side, request));
    if (!certificate) return;
    hold(kinds::kSecrets, specs::issued_secret_object(cluster(), request.name,
                                                      std::string(kube::uid_of(*certificate))));
  }

  /// The object as it stands then; null if it could not be written.
  Object hold(const kube::Resource& resource, const Json& wanted) {
    const std::string kind(kube::text_at(wanted, {"kind"}));
    const std::string name(kube::name_of(wanted));
    Object live = pass_.snapshot.find_standing(kind, name);
    if (live && !specs::needs_apply(wanted, *live)) return live;
    absl::StatusOr<Json> applied = write_.apply(resource, wanted);
    if (applied.ok()) return std::make_shared<const Json>(*std::move(applied));
    const auto error = kube::api_error(applied.status());
    if (error && error->fate == kube::Fate::kRejected && !absl::IsNotFound(applied.status())) {
      asked_.refusals.push_back(
          absl::StrCat(kind, " ", name, ": ", std::string(applied.status().message())));
    }
    keep(applied.status());
    return nullptr;
  }

  /// A Secret follows its Certificate by itself; one that is left without goes here.
  void take_back_all_but(const std::set<std::string>& wanted) {
    for (const auto& [key, object] : pass_.snapshot.standing) {
      const auto& [kind, name] = key;
      if (!api::issued_for(name) || wanted.contains(name)) continue;
      if (!observe::is_ours(pass_.snapshot, *object)) continue;
      if (kind == kCertificateKind) {
        keep(remove(kinds::kCertificates, *object));
      } else if (kind == kSecretKind && !pass_.snapshot.find_standing(kCertificateKind, name)) {
        keep(remove(kinds::kSecrets, *object));
      }
    }
  }

  absl::Status remove(const kube::Resource& resource, const Json& object) {
    return write_.remove(resource, kube::key_of(object), std::string(kube::uid_of(object)));
  }

  void keep(const absl::Status& status) {
    if (asked_.status.ok() && !status.ok()) asked_.status = status;
  }

  Writer& write_;
  const Pass& pass_;
  Asked asked_;
};

}  // namespace

Asked ask_cert_manager(Writer& write, const Pass& pass) {
  return Asking(write, pass).run();
}

}  // namespace holdfast::actions
