#include "operator/observe/certificates.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "operator/api/operation.h"
#include "operator/observe/assemble.h"
#include "operator/observe/cert_manager.h"
#include "operator/observe/issuer.h"
#include "operator/pki/certificate.h"
#include "operator/pki/issue.h"
#include "operator/pki/trust.h"
#include "operator/specs/flags.h"

namespace holdfast::observe {

namespace {

using api::Side;
using kube::Json;
using kube::Object;
using reconcile::CertificateSide;
using reconcile::Fingerprint;
using reconcile::Holder;
using reconcile::Seconds;

std::set<Fingerprint> fingerprints_of(const std::string& pem) {
  Authorities known;
  add_authorities(pem, known);
  std::set<Fingerprint> fingerprints;
  for (const auto& [fingerprint, text] : known) fingerprints.insert(fingerprint);
  return fingerprints;
}

/// `wanted` is one of `names`, or a wildcard among them stands for its first label.
bool covers(const std::vector<std::string>& names, const std::string& wanted) {
  const std::size_t dot = wanted.find('.');
  const std::string wildcard = dot == std::string::npos ? "" : "*" + wanted.substr(dot);
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name == wanted || (!wildcard.empty() && name == wildcard);
  });
}

Seconds annotation_seconds(const Json& object, std::string_view key) {
  const std::string_view text = kube::text_at(object, {"metadata", "annotations", key});
  std::int64_t value = 0;
  return absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &value) ? value : 0;
}

/// One side of one cluster being read.
class SideReader {
 public:
  SideReader(const CertificateSources& sources, Side which)
      : sources_(sources),
        which_(which),
        known_(known_authorities(sources.snapshot, which, sources.users)) {}

  CertificateSide read() {
    read_wishes();
    read_authorities();
    read_bundle();
    for (const int ordinal : ordinals()) side_.members.push_back(member(ordinal));
    if (which_ == Side::kClient) read_clients();
    return std::move(side_);
  }

 private:
  const Snapshot& snapshot() const { return sources_.snapshot; }
  const api::HoldfastCluster& cluster() const { return snapshot().cluster; }
  KnownLeaves& known_leaves() const { return *sources_.leaves; }
  const api::TlsSide& spec() const { return cluster().spec.tls.of(which_); }

  void read_wishes() {
    side_.wishes.enabled = spec().enabled;
    side_.wishes.issuer = issuer_in_use(snapshot(), which_).kind;
    side_.wishes.duration_seconds = absl::ToInt64Seconds(spec().duration);
    side_.wishes.renew_before_seconds = absl::ToInt64Seconds(spec().renew_before);
    if (const auto& tls = cluster().status.tls) {
      side_.mode = which_ == Side::kClient ? tls->client.mode : tls->peer.mode;
    }
  }

  void read_authorities() {
    const Object secret =
        snapshot().find_standing("Secret", api::ca_secret(cluster().metadata.name, which_));
    if (secret) {
      side_.current =
          known_leaves().authority(*secret, secret_key::kCertificate, secret_key::kPrivateKey);
      side_.next = known_leaves().authority(*secret, secret_key::kNextCertificate,
                                            secret_key::kNextPrivateKey);
    }
    for (const std::string& pem : offered_authorities(snapshot(), sources_.users, which_)) {
      side_.offered_authorities.merge(fingerprints_of(pem));
    }
  }

  void read_bundle() {
    const std::string text = bundle_of(snapshot(), which_);
    if (text.empty()) return;
    const auto canonical = pki::make_bundle({text}, "bundle");
    reconcile::Bundle bundle;
    bundle.authorities = fingerprints_of(text);
    bundle.digest = pki::bundle_digest(text);
    bundle.canonical = canonical.ok() && *canonical == text;
    side_.bundle = std::move(bundle);
  }

  /// Who has a Pod or a registration, or will have.
  std::set<int> ordinals() const {
    const reconcile::Observed& observed = sources_.observed;
    std::set<int> wanted;
    for (const reconcile::Member& member : observed.members) {
      const bool remembered = sources_.plan.memory.members.contains(member.ordinal);
      if (member.pod || member.registration || remembered) wanted.insert(member.ordinal);
    }
    const auto add = [&](const reconcile::Step& step) {
      if (const auto* pod = std::get_if<reconcile::CreatePod>(&step)) wanted.insert(pod->ordinal);
      if (const auto* volume = std::get_if<reconcile::CreateVolume>(&step)) {
        wanted.insert(volume->ordinal);
      }
      if (const auto* learner = std::get_if<reconcile::AddLearner>(&step)) {
        wanted.insert(learner->ordinal);
      }
    };
    for (const reconcile::Step& step : sources_.plan.repairs) add(step);
    if (sources_.plan.disruptive) add(*sources_.plan.disruptive);
    if (static_cast<int>(wanted.size()) < observed.wishes.replicas) {
      wanted.insert(sources_.plan.memory.next_ordinal);
    }
    return wanted;
  }

  reconcile::CertifiedMember member(int ordinal) const {
    reconcile::CertifiedMember member;
    member.ordinal = ordinal;
    member.party = party({Holder::Kind::kMember, ordinal});
    member.party.names = member_certificate_names(snapshot(), which_, ordinal);
    check_offered_names(member.ordinal, member.party.offer);
    member.registered = is_registered(ordinal);
    const std::string name = api::member_name(cluster().metadata.name, ordinal);
    for (const Object& pod : snapshot().pods) {
      if (kube::name_of(*pod) == name) member.pod_mode = pod_mode(*pod, which_);
    }
    member.secure_url = has_secure_url(ordinal);
    if (member.pod_mode && *member.pod_mode != api::TlsMode::kOff) {
      member.party.loaded = loaded(ordinal);
    }
    return member;
  }

  bool is_registered(int ordinal) const {
    const reconcile::Observed& observed = sources_.observed;
    if (!observed.list_confirmed) return observed.memory.members.contains(ordinal);
    return std::any_of(
        observed.members.begin(), observed.members.end(),
        [&](const reconcile::Member& m) { return m.ordinal == ordinal && m.registration; });
  }

  bool has_secure_url(int ordinal) const {
    for (const auto& [asked, probe] : sources_.probes) {
      if (!probe.confirmed_member_list.ok()) continue;
      for (const member::ListedMember& listed : probe.confirmed_member_list->members) {
        for (const std::string& url : listed.peer_urls) {
          if (ordinal_of_url(cluster().metadata, url) == ordinal) {
            return absl::StartsWith(url, "https://");
          }
        }
      }
    }
    return false;
  }

  std::optional<reconcile::Loaded> loaded(int ordinal) const {
    const auto probe = sources_.probes.find(ordinal);
    if (probe == sources_.probes.end() || !probe->second.page.ok()) return std::nullopt;
    const member::MetricsPage& page = *probe->second.page;
    const auto digest =
        page.trusted_bundle_sha256.find(which_ == Side::kClient ? "client" : "peer");
    if (digest == page.trusted_bundle_sha256.end()) return std::nullopt;
    reconcile::Loaded loaded{digest->second, {}};
    const auto serials =
        page.certificate_serials.find(which_ == Side::kClient ? "cert-file" : "peer-cert-file");
    if (serials != page.certificate_serials.end()) loaded.serials = serials->second;
    return loaded;
  }

  reconcile::Party party(const Holder& holder) const {
    reconcile::Party party;
    const LeafUse use = use_of(which_, holder);
    if (const Object secret =
            snapshot().find_standing("Secret", leaf_secret(cluster(), which_, holder))) {
      auto leaf = known_leaves().leaf(*secret, use, known_);
      if (leaf.ok()) party.leaf = *std::move(leaf);
    }
    if (side_.wishes.issuer != api::Issuer::kBuiltin) party.offer = offer(holder, use);
    return party;
  }

  reconcile::Offer offer(const Holder& holder, const LeafUse& use) const {
    const std::string name = offering_secret(snapshot(), which_, holder);
    const Object secret = find_offering(snapshot(), sources_.users, which_, holder);
    const bool empty = !secret || secret_value(*secret, secret_key::kCertificate).empty();
    if (side_.wishes.issuer == api::Issuer::kCertManager && empty) {
      return {{}, trouble_of_certificate(snapshot(), name)};
    }
    if (!secret) {
      return {{},
              absl::StrCat("there is no Secret ", name,
                           ": create it with ca.crt, tls.crt and tls.key")};
    }
    auto leaf = known_leaves().leaf(*secret, use, known_);
    if (!leaf.ok()) return {{}, std::string(leaf.status().message())};
    if (secret_value(*secret, secret_key::kAuthorities).empty()) {
      return {{},
              absl::StrCat("Secret ", name,
                           " has no ca.crt: use an issuer that gives its CA, by "
                           "which members and clients know each other")};
    }
    if (leaf->anchors.empty()) {
      return {{}, absl::StrCat("Secret ", name, ": no CA of its ca.crt vouches for its tls.crt")};
    }
    if (leaf->not_after <= absl::ToUnixSeconds(sources_.now)) {
      return {{}, absl::StrCat("Secret ", name, ": its certificate has expired: renew it")};
    }
    return {*std::move(leaf), ""};
  }

  /// A user's certificate that lacks the name by which a member is dialled would cut it off.
  void check_offered_names(int ordinal, reconcile::Offer& offer) const {
    if (!offer.leaf) return;
    const auto& metadata = cluster().metadata;
    const std::string host =
        api::member_host(metadata.name, metadata.ns, api::member_name(metadata.name, ordinal));
    if (covers(offer.leaf->names, host)) return;
    offer.leaf.reset();
    offer.problem = absl::StrCat(
        "Secret ", offering_secret(snapshot(), which_, {Holder::Kind::kMember, ordinal}),
        ": its certificate does not name ", host, ": add that, or *", host.substr(host.find('.')));
  }

  void read_clients() {
    side_.self = party({Holder::Kind::kOperator, 0});
    if (side_.bundle && side_.self->leaf) {
      // The pool dials with what stands in this very snapshot.
      side_.self->loaded = {side_.bundle->digest, {side_.self->leaf->serial}};
    }
    reconcile::ApplicationSecret& application = side_.application.emplace();
    application.party = party({Holder::Kind::kApplication, 0});
    const Object secret =
        snapshot().find_standing("Secret", api::application_secret(cluster().metadata.name));
    if (!secret) return;
    application.exists = true;
    application.trusts = fingerprints_of(secret_value(*secret, secret_key::kAuthorities));
    application.trusts_since = annotation_seconds(*secret, kTrustsSince);
    application.leaf_since = annotation_seconds(*secret, kCertificateSince);
  }

  const CertificateSources& sources_;
  const Side which_;
  const Authorities known_;
  CertificateSide side_;
};

std::optional<reconcile::RotationRequest> request_of(const Json& object, absl::Time now) {
  const auto operation = api::read<api::HoldfastOperation>(object);
  if (!operation.ok() || api::is_finished(*operation)) return std::nullopt;
  if (operation->metadata.deletion_timestamp || api::is_overdue(*operation, now)) {
    return std::nullopt;
  }
  const auto* rotate = std::get_if<api::RotateCertificates>(&operation->spec.action);
  if (rotate == nullptr) return std::nullopt;
  reconcile::RotationRequest request;
  request.name = operation->metadata.name;
  request.authority = rotate->scope == api::RotationScope::kAuthority;
  request.client = rotate->side != api::RotationSide::kPeer;
  request.peer = rotate->side != api::RotationSide::kClient;
  absl::Time created;
  std::string error;
  const std::string text(kube::text_at(object, {"metadata", "creationTimestamp"}));
  if (!absl::ParseTime(absl::RFC3339_full, text, &created, &error)) return std::nullopt;
  request.created_at = absl::ToUnixSeconds(created);
  return request;
}

}  // namespace

std::string secret_value(const Json& secret, std::string_view key) {
  const std::string_view text = kube::text_at(secret, {"data", key});
  std::string decoded;
  return absl::Base64Unescape(absl::string_view(text.data(), text.size()), &decoded) ? decoded : "";
}

std::string bundle_of(const Snapshot& snapshot, Side side) {
  const Object map =
      snapshot.find_standing("ConfigMap", api::trust_config_map(snapshot.cluster.metadata.name));
  if (!map) return "";
  return std::string(kube::text_at(
      *map, {"data", side == Side::kClient ? specs::kClientBundle : specs::kPeerBundle}));
}

Authorities known_authorities(const Snapshot& snapshot, Side side,
                              const std::map<std::string, Object>& users) {
  const std::string& cluster = snapshot.cluster.metadata.name;
  Authorities known;
  add_authorities(bundle_of(snapshot, side), known);
  if (const Object secret = snapshot.find_standing("Secret", api::ca_secret(cluster, side))) {
    add_authorities(secret_value(*secret, secret_key::kCertificate), known);
    add_authorities(secret_value(*secret, secret_key::kNextCertificate), known);
  }
  const Object application = snapshot.find_standing("Secret", api::application_secret(cluster));
  if (side == Side::kClient && application) {
    add_authorities(secret_value(*application, secret_key::kAuthorities), known);
  }
  for (const std::string& pem : offered_authorities(snapshot, users, side)) {
    add_authorities(pem, known);
  }
  return known;
}

std::optional<member::TlsMaterial> operator_material(const Snapshot& snapshot) {
  const Object secret =
      snapshot.find_standing("Secret", api::operator_secret(snapshot.cluster.metadata.name));
  const std::string bundle = bundle_of(snapshot, Side::kClient);
  if (!secret || bundle.empty()) return std::nullopt;
  return member::TlsMaterial{bundle, secret_value(*secret, secret_key::kCertificate),
                             secret_value(*secret, secret_key::kPrivateKey)};
}

api::TlsMode pod_mode(const Json& pod, Side side) {
  const Json* containers = kube::find_at(pod, {"spec", "containers"});
  if (containers == nullptr || !containers->is_array() || containers->empty()) {
    return api::TlsMode::kOff;
  }
  const Json* arguments = kube::find_at(containers->front(), {"args"});
  if (arguments == nullptr || !arguments->is_array()) return api::TlsMode::kOff;
  bool certificate = false;
  bool both = false;
  for (const Json& each : *arguments) {
    if (!each.is_string()) continue;
    const auto& flag = each.get_ref<const std::string&>();
    if (side == Side::kClient) {
      certificate = certificate || absl::StartsWith(flag, "--cert-file=");
      both = both || (absl::StartsWith(flag, "--listen-client-urls=") &&
                      absl::StrContains(flag, "http://"));
    } else {
      certificate = certificate || absl::StartsWith(flag, "--peer-cert-file=");
      both = both || flag == "--accept-plain-and-tls=true";
    }
  }
  if (!certificate) return api::TlsMode::kOff;
  return both ? api::TlsMode::kMixed : api::TlsMode::kOn;
}

std::vector<std::string> member_certificate_names(const Snapshot& snapshot, Side side,
                                                  int ordinal) {
  const api::HoldfastCluster& cluster = snapshot.cluster;
  const api::ObjectMeta& metadata = cluster.metadata;
  const std::string member = api::member_name(metadata.name, ordinal);
  const std::string host = api::member_host(metadata.name, metadata.ns, member);
  const std::string any = absl::StrCat("*", host.substr(host.find('.')));
  std::vector<std::string> wanted =
      api::member_dns_names(metadata.name, metadata.ns, member, snapshot.cluster_domain);
  wanted.insert(wanted.end(), {any, "127.0.0.1", "::1"});
  if (!snapshot.cluster_domain.empty()) {
    wanted.push_back(absl::StrCat(any, ".", snapshot.cluster_domain));
  }
  const auto& extra = cluster.spec.tls.of(side);
  wanted.insert(wanted.end(), extra.extra_sans.begin(), extra.extra_sans.end());
  // What no certificate can carry is left out rather than keep the member from having any.
  std::erase_if(wanted, [](const std::string& name) { return !pki::canonical_names({name}).ok(); });
  return pki::canonical_names(wanted).value_or(std::vector<std::string>());
}

reconcile::CertificatesObserved assemble_certificates(const CertificateSources& given) {
  KnownLeaves none;
  CertificateSources sources = given;
  if (sources.leaves == nullptr) sources.leaves = &none;
  reconcile::CertificatesObserved observed;
  observed.now = absl::ToUnixSeconds(sources.now);
  observed.client = SideReader(sources, Side::kClient).read();
  observed.peer = SideReader(sources, Side::kPeer).read();
  observed.calm =
      sources.observed.list_confirmed && !sources.plan.memory.operation && !sources.plan.disruptive;
  for (const Object& object : sources.snapshot.operations) {
    if (auto request = request_of(*object, sources.now))
      observed.requests.push_back(*std::move(request));
  }
  return observed;
}

}  // namespace holdfast::observe
