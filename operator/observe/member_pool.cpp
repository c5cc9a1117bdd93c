#include "operator/observe/member_pool.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "operator/api/names.h"
#include "operator/observe/certificates.h"

namespace holdfast::observe {

namespace {

std::optional<member::Endpoint> endpoint_of(const Snapshot& snapshot, const kube::Json& pod) {
  const std::string address(kube::text_at(pod, {"status", "podIP"}));
  if (address.empty()) return std::nullopt;
  const auto& metadata = snapshot.cluster.metadata;
  member::Endpoint endpoint;
  endpoint.name = std::string(kube::name_of(pod));
  endpoint.address = address;
  endpoint.port = api::kClientPort;
  endpoint.metrics_port = api::kMetricsPort;
  endpoint.server_name = api::member_host(metadata.name, metadata.ns, endpoint.name);
  return endpoint;
}

std::string fingerprint_of(const member::Endpoint& endpoint) {
  if (!endpoint.tls) return endpoint.address;
  return absl::StrCat(endpoint.address, "\n", endpoint.tls->ca_bundle_pem,
                      endpoint.tls->certificate_pem);
}

}  // namespace

Members MemberPool::of(const Snapshot& snapshot, const std::optional<member::TlsMaterial>& tls) {
  const std::string& cluster = snapshot.cluster.metadata.name;
  Members members;
  std::map<std::string, Entry> kept;
  const std::lock_guard<std::mutex> lock(mutex_);
  Known& known = clusters_[{snapshot.cluster.metadata.ns, cluster}];
  for (const kube::Object& pod : snapshot.pods) {
    const auto ordinal = api::ordinal_of(cluster, kube::name_of(*pod));
    std::optional<member::Endpoint> endpoint = endpoint_of(snapshot, *pod);
    if (!ordinal || !endpoint) continue;
    if (pod_mode(*pod, api::Side::kClient) != api::TlsMode::kOff) endpoint->tls = tls;
    endpoint->session = known.session;
    Entry& entry = kept[std::string(kube::uid_of(*pod))];
    entry.fingerprint = fingerprint_of(*endpoint);
    const auto before = known.members.find(std::string(kube::uid_of(*pod)));
    if (before != known.members.end() && before->second.fingerprint == entry.fingerprint) {
      entry.client = before->second.client;
    } else {
      entry.client = std::make_shared<const member::Client>(*std::move(endpoint), timeouts_);
    }
    members[*ordinal] = entry.client;
  }
  known.members = std::move(kept);
  return members;
}

std::shared_ptr<member::Session> MemberPool::session(const kube::ObjectKey& cluster) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return clusters_[cluster].session;
}

void MemberPool::forget(const kube::ObjectKey& cluster) {
  const std::lock_guard<std::mutex> lock(mutex_);
  clusters_.erase(cluster);
}

}  // namespace holdfast::observe
