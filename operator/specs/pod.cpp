#include "operator/specs/pod.h"

#include <utility>

#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/specs/object.h"
#include "operator/specs/pod_metadata.h"

namespace holdfast::specs {
namespace {

using nlohmann::json;

constexpr std::string_view kDataVolume = "data";
constexpr std::string_view kClientTlsVolume = "client-tls";
constexpr std::string_view kPeerTlsVolume = "peer-tls";
constexpr std::string_view kTrustVolume = "trust";
constexpr std::string_view kKeysVolume = "encryption-keys";
/// Owner and group may read keys, nobody else.
constexpr int kSecretMode = 0440;

constexpr std::string_view kZone = "topology.kubernetes.io/zone";
constexpr std::string_view kHost = "kubernetes.io/hostname";

bool has_certificates(api::TlsMode mode) {
  return mode != api::TlsMode::kOff;
}

/// Members by their names, then those of an etcd that is joined.
std::vector<InitialMember> initial_cluster(const api::HoldfastCluster& cluster,
                                           const MemberTemplate& member, const MemberStart& start) {
  std::vector<InitialMember> members;
  for (const std::int32_t ordinal : start.joining) {
    std::string name = api::member_name(cluster.metadata.name, ordinal);
    std::string url = member_url(cluster, name, api::Side::kPeer, member.tls);
    members.push_back({std::move(name), std::move(url)});
  }
  members.insert(members.end(), start.foreign.begin(), start.foreign.end());
  return members;
}

json secret_volume(std::string_view name, std::string secret) {
  return {{"name", name},
          {"secret", {{"secretName", std::move(secret)}, {"defaultMode", kSecretMode}}}};
}

json volumes(const api::HoldfastCluster& cluster, const MemberTemplate& member,
             std::string_view name, std::int32_t ordinal) {
  const std::string claim = api::claim_name(cluster.metadata.name, ordinal);
  json out =
      json::array({{{"name", kDataVolume}, {"persistentVolumeClaim", {{"claimName", claim}}}}});
  if (has_certificates(member.tls.client)) {
    out.push_back(secret_volume(kClientTlsVolume, api::member_secret(name, api::Side::kClient)));
  }
  if (has_certificates(member.tls.peer)) {
    out.push_back(secret_volume(kPeerTlsVolume, api::member_secret(name, api::Side::kPeer)));
  }
  if (has_certificates(member.tls.client) || has_certificates(member.tls.peer)) {
    out.push_back({{"name", kTrustVolume},
                   {"configMap", {{"name", api::trust_config_map(cluster.metadata.name)}}}});
  }
  if (!member.keys_secret.empty()) out.push_back(secret_volume(kKeysVolume, member.keys_secret));
  return out;
}

json volume_mounts(const MemberTemplate& member) {
  const TlsModes& tls = member.tls;
  json out = json::array({{{"name", kDataVolume}, {"mountPath", kVolumeDirectory}}});
  const auto add = [&](std::string_view name, std::string_view path) {
    out.push_back({{"name", name}, {"mountPath", path}, {"readOnly", true}});
  };
  if (has_certificates(tls.client)) add(kClientTlsVolume, kClientTlsDirectory);
  if (has_certificates(tls.peer)) add(kPeerTlsVolume, kPeerTlsDirectory);
  if (has_certificates(tls.client) || has_certificates(tls.peer)) {
    add(kTrustVolume, kTrustDirectory);
  }
  if (!member.keys_secret.empty()) add(kKeysVolume, kKeysDirectory);
  return out;
}

json probe(std::string_view path, int period_seconds, int failures) {
  return {{"httpGet", {{"path", path}, {"port", "metrics"}, {"scheme", "HTTP"}}},
          {"periodSeconds", period_seconds},
          {"timeoutSeconds", 5},
          {"failureThreshold", failures}};
}

json port(std::string_view name, std::uint16_t number) {
  return {{"name", name}, {"containerPort", number}, {"protocol", "TCP"}};
}

json container(const api::HoldfastCluster& cluster, const MemberTemplate& member,
               std::string_view name, const MemberStart& start) {
  json out = {{"name", kContainer},
              {"image", member.image},
              {"imagePullPolicy", "IfNotPresent"},
              {"args", member_flags(cluster, member, name, start.start,
                                    initial_cluster(cluster, member, start))},
              {"ports",
               {port("client", api::kClientPort), port("peer", api::kPeerPort),
                port("metrics", api::kMetricsPort)}},
              {"volumeMounts", volume_mounts(member)},
              {"startupProbe", probe("/livez", 1, kStartupSeconds)},
              {"livenessProbe", probe("/livez", kLivenessPeriodSeconds, kLivenessFailures)},
              {"readinessProbe", probe("/readyz", kReadinessPeriodSeconds, kReadinessFailures)},
              {"terminationMessagePolicy", "FallbackToLogsOnError"},
              {"securityContext",
               {{"allowPrivilegeEscalation", false},
                {"readOnlyRootFilesystem", true},
                {"capabilities", {{"drop", {"ALL"}}}}}}};
  if (!member.resources.empty()) out["resources"] = member.resources;
  return out;
}

/// The user's affinity over ours, kind by kind: rather one member a node than two, yet a cluster
/// of three comes up on a single node too.
json affinity(const api::HoldfastCluster& cluster, const MemberTemplate& member) {
  json out = {
      {"podAntiAffinity",
       {{"preferredDuringSchedulingIgnoredDuringExecution",
         json::array({{{"weight", 100},
                       {"podAffinityTerm",
                        {{"topologyKey", kHost},
                         {"labelSelector", {{"matchLabels", member_selector(cluster)}}}}}}})}}}};
  if (member.affinity.is_object()) out.update(member.affinity);
  return out;
}

json topology_spread(const api::HoldfastCluster& cluster, const MemberTemplate& member) {
  if (member.topology_spread_constraints) return *member.topology_spread_constraints;
  return json::array({{{"maxSkew", 1},
                       {"topologyKey", kZone},
                       {"whenUnsatisfiable", "ScheduleAnyway"},
                       {"labelSelector", {{"matchLabels", member_selector(cluster)}}}}});
}

json pod_security() {
  return {{"runAsNonRoot", true},
          {"runAsUser", kMemberUid},
          {"runAsGroup", kMemberUid},
          {"fsGroup", kMemberUid},
          {"fsGroupChangePolicy", "OnRootMismatch"},
          {"seccompProfile", {{"type", "RuntimeDefault"}}}};
}

json pull_secrets(const api::HoldfastCluster& cluster) {
  json out = json::array();
  for (const api::LocalReference& secret : cluster.spec.image_pull_secrets) {
    out.push_back({{"name", secret.name}});
  }
  return out;
}

json pod_spec(const api::HoldfastCluster& cluster, const MemberTemplate& member,
              const MemberMarks& marks, const MemberStart& start) {
  const std::string name = api::member_name(cluster.metadata.name, marks.ordinal);
  json spec = {
      {"hostname", name},
      {"subdomain", api::peer_service(cluster.metadata.name)},
      {"serviceAccountName", api::service_account(cluster.metadata.name)},
      {"automountServiceAccountToken", false},
      {"enableServiceLinks", false},
      // A forced start must not be repeated by the kubelet: by then there may be others again.
      {"restartPolicy", start.start == Start::kForceNewCluster ? "Never" : "Always"},
      {"terminationGracePeriodSeconds", kTerminationGraceSeconds},
      {"securityContext", pod_security()},
      {"containers", json::array({container(cluster, member, name, start)})},
      {"volumes", volumes(cluster, member, name, marks.ordinal)},
      {"affinity", affinity(cluster, member)},
      {"topologySpreadConstraints", topology_spread(cluster, member)}};
  if (json secrets = pull_secrets(cluster); !secrets.empty()) {
    spec["imagePullSecrets"] = std::move(secrets);
  }
  if (!member.node_selector.empty()) spec["nodeSelector"] = member.node_selector;
  if (!member.tolerations.empty()) spec["tolerations"] = member.tolerations;
  if (!member.priority_class_name.empty()) spec["priorityClassName"] = member.priority_class_name;
  return spec;
}

}  // namespace

json member_pod(const api::HoldfastCluster& cluster, const MemberTemplate& member,
                const MemberMarks& marks, const MemberStart& start) {
  json pod =
      owned_object(cluster, {"v1", "Pod", api::member_name(cluster.metadata.name, marks.ordinal)});
  api::StringMap annotations = origin_annotations(member, start);
  annotations.merge(pod_annotations(cluster, marks));
  pod["metadata"]["labels"] = pod_labels(cluster, marks);
  pod["metadata"]["annotations"] = std::move(annotations);
  pod["spec"] = pod_spec(cluster, member, marks, start);
  return pod;
}

}  // namespace holdfast::specs
