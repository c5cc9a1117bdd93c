#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "operator/api/backup_target.h"
#include "operator/api/metadata.h"
#include "operator/api/names.h"
#include "operator/api/quantity.h"

/// What a user asks of a HoldfastCluster. Defaults here are the schema's (crds/); a test holds
/// them equal.
namespace holdfast::api {

enum class VolumeRetention { kRetain, kDelete };
constexpr std::array<std::string_view, 2> names_of(VolumeRetention) {
  return {"Retain", "Delete"};
}

struct Storage {
  /// Of each member's volume; grows, never shrinks.
  Quantity size{.bytes = 10 * kGibibyte};
  /// Empty: the cluster's default class at the time a claim is made.
  std::string storage_class_name;
  /// What happens to the volumes when the HoldfastCluster is deleted or a member leaves for good.
  VolumeRetention retention = VolumeRetention::kRetain;

  friend bool operator==(const Storage&, const Storage&) = default;
};

enum class Issuer { kBuiltin, kCertManager, kSecret };
constexpr std::array<std::string_view, 3> names_of(Issuer) {
  return {"Builtin", "CertManager", "Secret"};
}

/// A cert-manager Issuer or ClusterIssuer.
struct IssuerReference {
  std::string name;
  std::string kind = "Issuer";
  std::string group = "cert-manager.io";

  friend bool operator==(const IssuerReference&, const IssuerReference&) = default;
};

/// TLS of one side: towards clients or between members.
struct TlsSide {
  bool enabled = true;
  Issuer issuer = Issuer::kBuiltin;
  /// Issuer Secret: ca.crt, tls.crt and tls.key that serve every member.
  LocalReference secret_ref;
  /// Issuer CertManager.
  std::optional<IssuerReference> issuer_ref;
  absl::Duration duration = absl::Hours(2160);
  /// How long before its end a certificate is renewed; shorter than `duration`.
  absl::Duration renew_before = absl::Hours(720);
  /// DNS names and IP addresses beyond those of the members and Services.
  std::vector<std::string> extra_sans;

  friend bool operator==(const TlsSide&, const TlsSide&) = default;
};

struct Tls {
  TlsSide client;
  TlsSide peer;

  const TlsSide& of(Side side) const { return side == Side::kClient ? client : peer; }

  friend bool operator==(const Tls&, const Tls&) = default;
};

struct Auth {
  bool enabled = false;
  /// username, password of the root user; absent: generated into `<cluster>-root`.
  LocalReference root_secret_ref;

  friend bool operator==(const Auth&, const Auth&) = default;
};

struct EncryptionAtRest {
  /// A text as --encryption-key-file has it; absent: generated into `<cluster>-encryption`.
  LocalReference secret_ref;
  /// Where in the Secret it stands.
  std::string secret_key = "keys";

  friend bool operator==(const EncryptionAtRest&, const EncryptionAtRest&) = default;
};

enum class CompactionMode { kOff, kPeriodic, kRevision };
constexpr std::array<std::string_view, 3> names_of(CompactionMode) {
  return {"Off", "Periodic", "Revision"};
}

struct AutoCompaction {
  CompactionMode mode = CompactionMode::kPeriodic;
  /// Periodic: a duration; Revision: how many revisions to keep, in digits.
  std::string retention = "1h";

  friend bool operator==(const AutoCompaction&, const AutoCompaction&) = default;
};

struct Options {
  /// Absent: follows storage.size.
  std::optional<std::int64_t> quota_bytes;
  AutoCompaction compaction;
  std::int64_t snapshot_count = 10'000;
  std::int32_t heartbeat_milliseconds = 100;
  /// At least five heartbeats.
  std::int32_t election_milliseconds = 1'000;
  std::int32_t max_request_bytes = 1'572'864;

  friend bool operator==(const Options&, const Options&) = default;
};

/// What members' Pods get besides what the operator decides. Kubernetes' own types pass through as
/// JSON; null or empty where the user said nothing.
struct PodTemplate {
  nlohmann::json resources;
  nlohmann::json affinity;
  /// Absent: spread over nodes and zones by the operator's own constraints.
  std::optional<nlohmann::json> topology_spread_constraints;
  StringMap node_selector;
  nlohmann::json tolerations;
  std::string priority_class_name;
  StringMap labels;
  StringMap annotations;

  friend bool operator==(const PodTemplate&, const PodTemplate&) = default;
};

enum class ServiceType { kClusterIp, kNodePort, kLoadBalancer };
constexpr std::array<std::string_view, 3> names_of(ServiceType) {
  return {"ClusterIP", "NodePort", "LoadBalancer"};
}

enum class TrafficPolicy { kCluster, kLocal };
constexpr std::array<std::string_view, 2> names_of(TrafficPolicy) {
  return {"Cluster", "Local"};
}

/// The Service that clients use.
struct ClientService {
  ServiceType type = ServiceType::kClusterIp;
  StringMap annotations;
  StringMap labels;
  /// LoadBalancer only.
  std::string load_balancer_class;
  std::vector<std::string> load_balancer_source_ranges;
  /// NodePort and LoadBalancer only.
  TrafficPolicy external_traffic_policy = TrafficPolicy::kCluster;

  friend bool operator==(const ClientService&, const ClientService&) = default;
};

struct NetworkPolicy {
  bool enabled = false;
  /// Kubernetes NetworkPolicyPeers that may reach the client port; empty: every Pod of the
  /// namespace.
  nlohmann::json clients_from;

  friend bool operator==(const NetworkPolicy&, const NetworkPolicy&) = default;
};

enum class UpdateStrategy { kAutomatic, kSupervised, kOnDelete };
constexpr std::array<std::string_view, 3> names_of(UpdateStrategy) {
  return {"Automatic", "Supervised", "OnDelete"};
}

/// When planned disruption may begin: from each time of the schedule, for its duration.
struct MaintenanceWindow {
  std::string schedule;
  std::string time_zone = "Etc/UTC";
  absl::Duration duration = absl::Hours(1);

  friend bool operator==(const MaintenanceWindow&, const MaintenanceWindow&) = default;
};

struct UpdatePolicy {
  UpdateStrategy strategy = UpdateStrategy::kAutomatic;
  /// Empty: at any time.
  std::vector<MaintenanceWindow> windows;
  std::int32_t progress_deadline_seconds = 600;

  friend bool operator==(const UpdatePolicy&, const UpdatePolicy&) = default;
};

struct DefragmentSchedule {
  std::string schedule;
  std::string time_zone = "Etc/UTC";
  /// Nothing is done below this share of free space and below this many bytes to win.
  std::int32_t free_above_percent = 45;
  Quantity min_reclaim{.bytes = 256 * kMebibyte};

  friend bool operator==(const DefragmentSchedule&, const DefragmentSchedule&) = default;
};

struct CompactSchedule {
  std::string schedule;
  std::string time_zone = "Etc/UTC";
  /// How many of the newest revisions stay.
  std::int64_t keep_revisions = 10'000;

  friend bool operator==(const CompactSchedule&, const CompactSchedule&) = default;
};

/// What is done without being asked when a member raises NOSPACE, and how far it may go.
struct SpacePolicy {
  bool automatic = true;
  /// How many of the newest revisions a compaction leaves; absent: what options.compaction keeps.
  std::optional<std::int64_t> keep_revisions;
  /// Absent: the quota is not raised.
  std::optional<std::int64_t> max_quota_bytes;
  /// Absent: volumes are not grown.
  std::optional<Quantity> max_storage_size;

  friend bool operator==(const SpacePolicy&, const SpacePolicy&) = default;
};

struct Maintenance {
  std::optional<DefragmentSchedule> defragment;
  std::optional<CompactSchedule> compact;
  SpacePolicy space;

  friend bool operator==(const Maintenance&, const Maintenance&) = default;
};

/// Begins with a backup's data: one of the two.
struct RestoreFrom {
  /// A HoldfastBackup of this namespace.
  LocalReference backup_ref;
  std::optional<StoredBackup> stored;
  /// Absent: the backup's own revision.
  std::optional<RestorePoint> until;
  /// Added to the backup's revision, so that no watcher sees one twice.
  std::int64_t bump_revisions = 1'000'000'000;

  friend bool operator==(const RestoreFrom&, const RestoreFrom&) = default;
};

/// Begins as learners of a running etcd or holdfast.
struct JoinRunning {
  /// Its client URLs.
  std::vector<std::string> endpoints;
  /// ca.crt and, where it asks for one, tls.crt and tls.key for its client port.
  LocalReference client_secret_ref;
  /// ca.crt, tls.crt, tls.key that its members accept from a peer.
  LocalReference peer_secret_ref;
  /// username, password, where it has auth.
  LocalReference credentials_secret_ref;

  friend bool operator==(const JoinRunning&, const JoinRunning&) = default;
};

/// Absent or empty: a new, empty cluster. Immutable.
struct Bootstrap {
  std::optional<RestoreFrom> restore;
  std::optional<JoinRunning> join;

  friend bool operator==(const Bootstrap&, const Bootstrap&) = default;
};

struct Recovery {
  /// Replace a member whose Pod, node or volume is gone or that is down for this long.
  bool auto_replace = true;
  std::int32_t replace_after_seconds = 300;
  /// Force a new cluster from the best survivor once quorum is lost for this long.
  bool auto_quorum_recovery = false;
  std::int32_t quorum_recovery_after_seconds = 600;

  friend bool operator==(const Recovery&, const Recovery&) = default;
};

struct Monitoring {
  bool service_monitor = false;
  bool rules = false;
  /// On both, for Prometheus to select by.
  StringMap labels;

  friend bool operator==(const Monitoring&, const Monitoring&) = default;
};

struct ClusterSpec {
  /// Voters wanted: 0 (hibernated), 1, 3, 5, 7 or 9.
  std::int32_t replicas = 3;
  /// Empty: the operator's own version when the cluster was made.
  std::string version;
  /// Empty: the operator's member image with `version` as its tag.
  std::string image;
  std::vector<LocalReference> image_pull_secrets;
  Storage storage;
  Tls tls;
  Auth auth;
  std::optional<EncryptionAtRest> encryption_at_rest;
  Options options;
  PodTemplate pod_template;
  ClientService service;
  NetworkPolicy network_policy;
  UpdatePolicy update_policy;
  Maintenance maintenance;
  Bootstrap bootstrap;
  Recovery recovery;
  bool paused = false;
  /// Names of members that are kept stopped, for repair by hand.
  std::vector<std::string> fenced_members;
  Monitoring monitoring;

  friend bool operator==(const ClusterSpec&, const ClusterSpec&) = default;
};

}  // namespace holdfast::api
