#include "operator/observe/joined.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "operator/api/names.h"
#include "operator/observe/certificates.h"

namespace holdfast::observe {

namespace {

std::optional<member::TlsMaterial> material_of(const Snapshot& snapshot,
                                               const std::map<std::string, kube::Object>& secrets) {
  const auto found = secrets.find(snapshot.cluster.spec.bootstrap.join->client_secret_ref.name);
  if (found == secrets.end()) return std::nullopt;
  member::TlsMaterial material;
  material.ca_bundle_pem = secret_value(*found->second, secret_key::kAuthorities);
  material.certificate_pem = secret_value(*found->second, secret_key::kCertificate);
  material.private_key_pem = secret_value(*found->second, secret_key::kPrivateKey);
  if (material.ca_bundle_pem.empty()) return std::nullopt;
  return material;
}

/// Changes with everything that a connection is made of. Never logged.
std::string fingerprint_of(const std::string& url, const member::Endpoint& endpoint) {
  std::string text = url;
  if (endpoint.tls) {
    absl::StrAppend(&text, "\n", endpoint.tls->ca_bundle_pem, endpoint.tls->certificate_pem);
  }
  return text;
}

std::string refusal_over_auth(const Snapshot& snapshot, const std::vector<member::Probe>& probes) {
  const std::string& secret = snapshot.cluster.spec.bootstrap.join->credentials_secret_ref.name;
  for (const member::Probe& probe : probes) {
    if (!probe.auth_enabled) continue;
    if (!snapshot.cluster.spec.auth.enabled) {
      return "the cluster to join has auth on, and stays so: set spec.auth.enabled, and name a "
             "Secret with root's password in spec.auth.rootSecretRef";
    }
    if (secret.empty()) {
      return "the cluster to join has auth on: name a Secret with username and password of a user "
             "with the role root in spec.bootstrap.join.credentialsSecretRef";
    }
    if (probe.shut_out) {
      const absl::Status& why = probe.signed_in.ok() ? probe.linearizable_read : probe.signed_in;
      return absl::StrCat("the cluster to join does not take the credentials in Secret ", secret,
                          ": ", std::string(why.message()));
    }
  }
  return "";
}

/// Members of one cluster dial each other in one way, and both sides have to accept it.
std::string refusal_over_peers(const Snapshot& snapshot, const member::MemberList& list) {
  const api::ClusterSpec& spec = snapshot.cluster.spec;
  const bool secure =
      std::any_of(list.members.begin(), list.members.end(), [](const member::ListedMember& each) {
        return std::any_of(each.peer_urls.begin(), each.peer_urls.end(),
                           [](const std::string& url) { return absl::StartsWith(url, "https"); });
      });
  if (secure && !spec.tls.peer.enabled) {
    return "members of the cluster to join dial each other by TLS: set spec.tls.peer.enabled";
  }
  if (secure && spec.bootstrap.join->peer_secret_ref.name.empty()) {
    return "members of the cluster to join dial each other by TLS: declare the cluster anew with "
           "spec.bootstrap.join.peerSecretRef, a Secret with a certificate that they accept from a "
           "peer";
  }
  if (!secure && spec.tls.peer.enabled) {
    return "members of the cluster to join dial each other without TLS: set spec.tls.peer.enabled "
           "to false; once they are left behind it can be turned on";
  }
  return "";
}

}  // namespace

bool has_joined_members(const api::HoldfastCluster& cluster) {
  if (!cluster.spec.bootstrap.join) return false;
  return !cluster.status.cluster_id || cluster.status.foreign_members > 0;
}

std::string refusal_to_join(const Snapshot& snapshot, const std::vector<member::Probe>& probes,
                            const member::MemberList* list) {
  std::string why = refusal_over_auth(snapshot, probes);
  if (why.empty() && list != nullptr) why = refusal_over_peers(snapshot, *list);
  return why;
}

std::optional<member::Endpoint> endpoint_of_url(const std::string& url,
                                                const std::optional<member::TlsMaterial>& tls) {
  absl::string_view rest = url;
  member::Endpoint endpoint;
  if (absl::ConsumePrefix(&rest, "https://")) {
    if (!tls) return std::nullopt;
    endpoint.tls = tls;
  } else if (!absl::ConsumePrefix(&rest, "http://")) {
    return std::nullopt;
  }
  rest = rest.substr(0, rest.find('/'));
  const bool bracketed = absl::StartsWith(rest, "[");
  const std::size_t end = bracketed ? rest.find(']') : rest.rfind(':');
  absl::string_view host = rest.substr(0, end);
  if (bracketed && (!absl::ConsumePrefix(&host, "[") || end == absl::string_view::npos)) {
    return std::nullopt;
  }
  absl::string_view port = end == absl::string_view::npos ? "" : rest.substr(end);
  if (bracketed) absl::ConsumePrefix(&port, "]");
  std::uint32_t number = api::kClientPort;
  constexpr std::uint32_t kHighestPort = 65'535;
  if (absl::ConsumePrefix(&port, ":") && !absl::SimpleAtoi(port, &number)) return std::nullopt;
  if (host.empty() || number == 0 || number > kHighestPort) return std::nullopt;
  endpoint.name = url;
  endpoint.address = std::string(host);
  endpoint.port = static_cast<std::uint16_t>(number);
  endpoint.metrics_port = 0;
  return endpoint;
}

std::vector<std::shared_ptr<const member::Client>> JoinedPool::of(
    const Snapshot& snapshot, const std::map<std::string, kube::Object>& secrets,
    std::shared_ptr<member::Session> session) {
  const api::HoldfastCluster& cluster = snapshot.cluster;
  std::vector<std::shared_ptr<const member::Client>> clients;
  const kube::ObjectKey key{cluster.metadata.ns, cluster.metadata.name};
  if (!has_joined_members(cluster)) {
    forget(key);
    return clients;
  }
  const auto material = material_of(snapshot, secrets);
  const std::lock_guard<std::mutex> lock(mutex_);
  Known& known = clusters_[key];
  const auto& endpoints = cluster.spec.bootstrap.join->endpoints;
  std::set<std::string> urls(endpoints.begin(), endpoints.end());
  urls.insert(known.urls.begin(), known.urls.end());
  std::map<std::string, std::shared_ptr<const member::Client>> kept;
  for (const std::string& url : urls) {
    if (kept.size() >= member::kMaxListedMembers) break;
    auto endpoint = endpoint_of_url(url, material);
    if (!endpoint) continue;
    endpoint->session = session;
    const std::string fingerprint = fingerprint_of(url, *endpoint);
    const auto before = known.clients.find(fingerprint);
    kept[fingerprint] = before != known.clients.end()
                            ? before->second
                            : std::make_shared<const member::Client>(*endpoint, timeouts_);
    clients.push_back(kept[fingerprint]);
  }
  known.clients = std::move(kept);
  return clients;
}

void JoinedPool::learn(const kube::ObjectKey& cluster,
                       const std::vector<reconcile::Stranger>& strangers) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = clusters_.find(cluster);
  if (found == clusters_.end() || strangers.empty()) return;
  found->second.urls.clear();
  for (const reconcile::Stranger& stranger : strangers) {
    found->second.urls.insert(found->second.urls.end(), stranger.client_urls.begin(),
                              stranger.client_urls.end());
  }
}

reconcile::Comparison JoinedPool::compare_once(const kube::ObjectKey& cluster,
                                               const member::Client& learner,
                                               const member::Client& leader, MemberId learner_id,
                                               std::chrono::steady_clock::time_point now) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto& different = clusters_[cluster].different;
    const auto found = different.find(learner_id);
    if (found != different.end() && now - found->second < kDifferentFor) {
      return reconcile::Comparison::kDifferent;
    }
  }
  const reconcile::Comparison comparison = compare(learner, leader);
  const std::lock_guard<std::mutex> lock(mutex_);
  auto& different = clusters_[cluster].different;
  if (comparison == reconcile::Comparison::kDifferent) {
    different[learner_id] = now;
  } else {
    different.erase(learner_id);
  }
  return comparison;
}

void JoinedPool::forget(const kube::ObjectKey& cluster) {
  const std::lock_guard<std::mutex> lock(mutex_);
  clusters_.erase(cluster);
}

reconcile::Comparison compare(const member::Client& learner, const member::Client& leader) {
  using reconcile::Comparison;
  const auto copy = learner.hash_kv(0);
  if (!copy.ok()) return Comparison::kNotMade;
  const std::int64_t revision =
      copy->hash_revision != 0 ? copy->hash_revision : copy->header.revision;
  const auto original = leader.hash_kv(revision);
  if (!original.ok() || original->compact_revision != copy->compact_revision) {
    return Comparison::kNotMade;
  }
  return original->hash == copy->hash ? Comparison::kEqual : Comparison::kDifferent;
}

}  // namespace holdfast::observe
