#include "operator/actions/certificates.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "operator/api/names.h"
#include "operator/kube/api_error.h"
#include "operator/member/fleet.h"
#include "operator/observe/assemble.h"
#include "operator/observe/certificates.h"
#include "operator/observe/issuer.h"
#include "operator/observe/kinds.h"
#include "operator/pki/certificate.h"
#include "operator/pki/issue.h"
#include "operator/pki/trust.h"
#include "operator/specs/flags.h"
#include "operator/specs/object.h"
#include "operator/specs/standing.h"

namespace holdfast::actions {

namespace {

using api::Side;
using kube::Json;
using kube::Object;
using reconcile::Holder;

namespace kinds = observe::kinds;
namespace key = observe::secret_key;

std::string named(std::string_view text) {
  return std::string(text);
}

pki::Time pki_now(const Pass& pass) {
  return pki::Time(std::chrono::seconds(absl::ToUnixSeconds(pass.now)));
}

const reconcile::CertificateSide& side_of(const Pass& pass, Side side) {
  return side == Side::kClient ? pass.certificates.client : pass.certificates.peer;
}

/// The CA in `secret` with that fingerprint, as the one that signs or the one to follow.
absl::StatusOr<pki::Identity> find_authority(const Json& secret, const std::string& fingerprint) {
  for (const auto& [certificate, private_key] :
       {std::pair(key::kCertificate, key::kPrivateKey),
        std::pair(key::kNextCertificate, key::kNextPrivateKey)}) {
    pki::Identity authority{observe::secret_value(secret, certificate),
                            observe::secret_value(secret, private_key)};
    const auto read = pki::read_leaf(authority.certificate_pem, "CA");
    if (read.ok() && read->fingerprint == fingerprint) return authority;
  }
  return absl::AbortedError("the CA that was to sign is no longer in its Secret; looking again");
}

bool is_member_leaf(const api::HoldfastCluster& cluster, const std::string& secret) {
  for (const Side side : {Side::kClient, Side::kPeer}) {
    const std::string suffix = api::member_secret("", side);
    if (!absl::EndsWith(secret, suffix)) continue;
    return api::ordinal_of(cluster.metadata.name, secret.substr(0, secret.size() - suffix.size()))
        .has_value();
  }
  return false;
}

pki::LeafRequest leaf_request(const Pass& pass, const reconcile::IssueLeaf& step) {
  const api::HoldfastCluster& cluster = pass.cluster();
  Subject subject = subject_of(pass, step.side, step.holder);
  pki::LeafRequest request;
  request.organization = absl::StrCat(cluster.metadata.ns, "/", cluster.metadata.name);
  request.duration = std::chrono::seconds(side_of(pass, step.side).wishes.duration_seconds);
  request.common_name = std::move(subject.common_name);
  request.names = std::move(subject.names);
  request.for_servers = subject.for_servers;
  return request;
}

}  // namespace

Subject subject_of(const Pass& pass, Side side, const Holder& holder) {
  const api::HoldfastCluster& cluster = pass.cluster();
  switch (holder.kind) {
    case Holder::Kind::kOperator:
      return {"holdfast-operator", {}, false};
    case Holder::Kind::kApplication:
      return {"application", {}, false};
    case Holder::Kind::kMember:
      break;
  }
  return {api::member_name(cluster.metadata.name, holder.ordinal),
          observe::member_certificate_names(pass.snapshot, side, holder.ordinal), true};
}

absl::Status CertificateWriter::carry_out(const reconcile::CertificateStep& step) {
  if (absl::Status status = write_.may_write(); !status.ok()) return status;
  return look_again_after(std::visit([this](const auto& kind) { return perform(kind); }, step));
}

absl::Status CertificateWriter::put_secret(const std::string& name, const Json& data,
                                           const Json& annotations) {
  Json encoded = Json::object();
  for (const auto& [field, value] : data.items()) {
    encoded[field] =
        value.is_string() ? Json(absl::Base64Escape(value.get_ref<const std::string&>())) : value;
  }
  if (const Object before = pass_.snapshot.find_standing("Secret", name)) {
    const Json patch = {{"metadata",
                         {{"uid", kube::uid_of(*before)},
                          {"resourceVersion", kube::resource_version_of(*before)},
                          {"annotations", annotations}}},
                        {"data", std::move(encoded)}};
    return write_.patch(kinds::kSecrets, {cluster().metadata.ns, name}, patch);
  }
  std::erase_if(encoded.get_ref<Json::object_t&>(),
                [](const auto& entry) { return entry.second.is_null(); });
  Json secret = specs::owned_object(cluster(), {"v1", "Secret", name});
  secret["type"] = "Opaque";
  secret["data"] = std::move(encoded);
  return write_.create(kinds::kSecrets, secret);
}

absl::Status CertificateWriter::perform(const reconcile::CreateAuthority& step) {
  const api::ObjectMeta& metadata = cluster().metadata;
  pki::CaRequest request;
  request.common_name =
      absl::StrCat(metadata.name, step.side == Side::kClient ? " client CA" : " peer CA");
  request.organization = absl::StrCat(metadata.ns, "/", metadata.name);
  const auto made = pki::create_ca(request, pki_now(pass_));
  if (!made.ok()) return made.status();
  const std::string_view certificate = step.as_next ? key::kNextCertificate : key::kCertificate;
  const std::string_view private_key = step.as_next ? key::kNextPrivateKey : key::kPrivateKey;
  return put_secret(
      api::ca_secret(metadata.name, step.side),
      {{named(certificate), made->certificate_pem}, {named(private_key), made->key_pem}});
}

absl::Status CertificateWriter::perform(const reconcile::PromoteAuthority& step) {
  const std::string name = api::ca_secret(cluster().metadata.name, step.side);
  const Object secret = pass_.snapshot.find_standing("Secret", name);
  if (!secret) return absl::OkStatus();
  return put_secret(
      name, {{named(key::kCertificate), observe::secret_value(*secret, key::kNextCertificate)},
             {named(key::kPrivateKey), observe::secret_value(*secret, key::kNextPrivateKey)},
             {named(key::kNextCertificate), nullptr},
             {named(key::kNextPrivateKey), nullptr}});
}

absl::Status CertificateWriter::perform(const reconcile::DeleteAuthority& step) {
  const std::string name = api::ca_secret(cluster().metadata.name, step.side);
  const Object secret = pass_.snapshot.find_standing("Secret", name);
  if (!secret) return absl::OkStatus();
  return write_.remove(kinds::kSecrets, {cluster().metadata.ns, name},
                       std::string(kube::uid_of(*secret)));
}

absl::Status CertificateWriter::perform(const reconcile::DistributeBundle& step) {
  const auto known = observe::known_authorities(pass_.snapshot, step.side, pass_.user_secrets);
  std::vector<std::string> pems;
  for (const reconcile::Fingerprint& fingerprint : step.authorities) {
    const auto found = known.find(fingerprint);
    if (found == known.end()) return absl::AbortedError("a CA is known no more; looking again");
    pems.push_back(found->second);
  }
  const auto bundle = pki::make_bundle(pems, "trust bundle");
  if (!bundle.ok()) return bundle.status();
  const bool client = step.side == Side::kClient;
  const std::string name = api::trust_config_map(cluster().metadata.name);
  const Object before = pass_.snapshot.find_standing("ConfigMap", name);
  if (!before) {
    return write_.create(kinds::kConfigMaps, specs::trust_object(cluster(), client ? *bundle : "",
                                                                 client ? "" : *bundle));
  }
  const Json patch = {
      {"metadata",
       {{"uid", kube::uid_of(*before)}, {"resourceVersion", kube::resource_version_of(*before)}}},
      {"data", {{named(client ? specs::kClientBundle : specs::kPeerBundle), *bundle}}}};
  return write_.patch(kinds::kConfigMaps, {cluster().metadata.ns, name}, patch);
}

absl::Status CertificateWriter::put_leaf(Side side, const Holder& holder,
                                         const std::string& certificate,
                                         const std::string& private_key) {
  const std::string name = observe::leaf_secret(cluster(), side, holder);
  Json data = {{named(key::kCertificate), certificate}, {named(key::kPrivateKey), private_key}};
  Json annotations = Json::object();
  if (holder.kind == Holder::Kind::kApplication) {
    const Object before = pass_.snapshot.find_standing("Secret", name);
    if (!before) {
      data[named(key::kAuthorities)] = observe::bundle_of(pass_.snapshot, side);
    } else if (!observe::secret_value(*before, key::kCertificate).empty()) {
      annotations[named(observe::kCertificateSince)] = absl::StrCat(absl::ToUnixSeconds(pass_.now));
    }
  }
  return put_secret(name, data, annotations);
}

absl::Status CertificateWriter::perform(const reconcile::IssueLeaf& step) {
  // Read anew: a cache may still show a CA whose time is over, and its key is kept nowhere.
  const auto secret = client_.get(
      kinds::kSecrets, {cluster().metadata.ns, api::ca_secret(cluster().metadata.name, step.side)});
  if (!secret.ok()) return secret.status();
  const auto authority = find_authority(*secret, step.authority);
  if (!authority.ok()) return authority.status();
  const auto leaf = pki::issue_leaf(*authority, leaf_request(pass_, step), pki_now(pass_));
  if (!leaf.ok()) return leaf.status();
  return put_leaf(step.side, step.holder, leaf->certificate_pem, leaf->key_pem);
}

absl::Status CertificateWriter::perform(const reconcile::InstallLeaf& step) {
  // Read anew: what the issuer offers no more may be of a CA that has left the bundle since.
  const auto secret = client_.get(
      kinds::kSecrets,
      {cluster().metadata.ns, observe::offering_secret(pass_.snapshot, step.side, step.holder)});
  if (!secret.ok()) return secret.status();
  const std::string certificate = observe::secret_value(*secret, key::kCertificate);
  const auto leaf = pki::read_leaf(certificate, "what the issuer offers");
  if (!leaf.ok() || leaf->serial != step.serial) {
    return absl::AbortedError("the issuer offers another certificate by now; looking again");
  }
  return put_leaf(step.side, step.holder, certificate,
                  observe::secret_value(*secret, key::kPrivateKey));
}

absl::Status CertificateWriter::perform(const reconcile::TellApplications& step) {
  Json annotations = Json::object();
  const auto& application = pass_.certificates.client.application;
  const bool gains =
      application && !std::includes(application->trusts.begin(), application->trusts.end(),
                                    step.authorities.begin(), step.authorities.end());
  if (gains) {
    annotations[named(observe::kTrustsSince)] = absl::StrCat(absl::ToUnixSeconds(pass_.now));
  }
  return put_secret(api::application_secret(cluster().metadata.name),
                    {{named(key::kAuthorities), observe::bundle_of(pass_.snapshot, Side::kClient)}},
                    annotations);
}

absl::Status CertificateWriter::perform(const reconcile::SetTlsMode& /*step*/) {
  return absl::OkStatus();  // write_tls_status has
}

absl::Status CertificateWriter::perform(const reconcile::SetPeerScheme& step) {
  const api::ObjectMeta& metadata = cluster().metadata;
  const auto& members = pass_.observed.members;
  const auto found = std::find_if(members.begin(), members.end(), [&](const auto& member) {
    return member.ordinal == step.ordinal && member.registration;
  });
  if (found == members.end()) return absl::OkStatus();
  const std::string host =
      api::member_host(metadata.name, metadata.ns, api::member_name(metadata.name, step.ordinal));
  const std::string url =
      absl::StrCat(step.secure ? "https://" : "http://", host, ":", api::kPeerPort);
  std::vector<const member::Client*> clients;
  for (const auto& [ordinal, client] : pass_.members) clients.push_back(client.get());
  return member::at_any(clients, [&](const member::Client& client) {
    return client.update(found->registration->id.value, {url});
  });
}

namespace {

void write_side(const Pass& pass, Side which, const reconcile::CertificateProgress& progress,
                api::TlsSideStatus& status) {
  const reconcile::CertificateSide& side = side_of(pass, which);
  if (status.phase != progress.phase) status.phase_started_at = pass.now;
  status.phase = progress.phase;
  const bool ours = side.wishes.issuer == api::Issuer::kBuiltin && side.current;
  const bool theirs =
      side.wishes.issuer != api::Issuer::kBuiltin && !side.offered_authorities.empty();
  status.ca_sha256 = ours     ? side.current->fingerprint
                     : theirs ? *side.offered_authorities.begin()
                              : "";
  status.ca_not_after.reset();
  if (ours) status.ca_not_after = absl::FromUnixSeconds(side.current->not_after);
  status.other_ca_sha256.clear();
  if (side.bundle) {
    status.bundle_sha256 = side.bundle->digest;
    for (const std::string& each : side.bundle->authorities) {
      if (each != status.ca_sha256) status.other_ca_sha256 = each;
    }
  }
}

}  // namespace

void write_tls_status(const Pass& pass, api::ClusterStatus& status) {
  const auto& step = pass.certificate_plan.step;
  const auto* mode = step ? std::get_if<reconcile::SetTlsMode>(&*step) : nullptr;
  if (!status.tls) {
    // Both sides' modes are latched at once: until then each begins as spec wishes.
    if (mode == nullptr) return;
    status.tls.emplace();
    status.tls->client.mode = reconcile::initial_mode(pass.certificates.client);
    status.tls->peer.mode = reconcile::initial_mode(pass.certificates.peer);
  }
  if (mode != nullptr) {
    (mode->side == Side::kClient ? status.tls->client : status.tls->peer).mode = mode->mode;
  }
  write_side(pass, Side::kClient, pass.certificate_plan.client, status.tls->client);
  write_side(pass, Side::kPeer, pass.certificate_plan.peer, status.tls->peer);
  for (api::MemberStatus& row : status.members) {
    const auto ordinal = api::ordinal_of(pass.cluster().metadata.name, row.name);
    row.cert_not_after.reset();
    for (const Side side : {Side::kClient, Side::kPeer}) {
      for (const reconcile::CertifiedMember& member : side_of(pass, side).members) {
        if (member.ordinal != ordinal || !member.party.leaf) continue;
        const absl::Time end = absl::FromUnixSeconds(member.party.leaf->not_after);
        row.cert_not_after = std::min(row.cert_not_after.value_or(end), end);
      }
    }
  }
}

absl::Status delete_leaves_of_the_gone(Writer& write, const Pass& pass) {
  if (!pass.certificates.calm) return absl::OkStatus();
  std::set<std::string> needed;
  for (const Side side : {Side::kClient, Side::kPeer}) {
    for (const reconcile::CertifiedMember& member : side_of(pass, side).members) {
      needed.insert(
          observe::leaf_secret(pass.cluster(), side, {Holder::Kind::kMember, member.ordinal}));
    }
  }
  for (const auto& [key, object] : pass.snapshot.standing) {
    const auto& [kind, name] = key;
    if (kind != "Secret" || !is_member_leaf(pass.cluster(), name) || needed.contains(name)) {
      continue;
    }
    if (!observe::is_ours(pass.snapshot, *object)) continue;
    const absl::Status status =
        write.remove(kinds::kSecrets, kube::key_of(*object), std::string(kube::uid_of(*object)));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::string certificates_mark(const Pass& pass, int ordinal) {
  std::string mounted;
  for (const Side side : {Side::kClient, Side::kPeer}) {
    const reconcile::CertificateSide& read = side_of(pass, side);
    if (read.bundle) mounted += read.bundle->digest;
    for (const reconcile::CertifiedMember& member : read.members) {
      if (member.ordinal == ordinal && member.party.leaf) mounted += member.party.leaf->serial;
    }
  }
  return mounted.empty() ? "" : specs::digest(mounted);
}

}  // namespace holdfast::actions
