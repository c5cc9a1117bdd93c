#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datastore/base/ids.h"

/// Every name that the operator gives or looks for, in one place: nothing else spells one.
///
/// A cluster "db" in namespace "apps" has
///
///   Pod, member      db-0            hostname db-0, subdomain db-peers
///   claim            data-db-0
///   Services         db (clients), db-peers (headless, also of members that are not ready)
///   budget, policy,  db
///     account
///   Secrets          db-ca-client db-ca-peer db-client db-operator; db-0-server-tls db-0-peer-tls
///                    db-root (root's password, if the user names no other) db-auth
///                    db-encryption (keys, if the user names no other) db-keys
///   Certificates,    db-client-issued db-operator-issued; db-0-server-tls-issued
///     their Secrets  db-0-peer-tls-issued (cert-manager's, copied from there)
///   ConfigMap        db-trust
///
/// Names of members and of clusters never meet: no suffix of one is a suffix of the other.
namespace holdfast::api {

inline constexpr std::string_view kGroup = "holdfast.dev";
inline constexpr std::string_view kVersion = "v1alpha1";
inline constexpr std::string_view kApiVersion = "holdfast.dev/v1alpha1";
/// Field manager of every server-side apply.
inline constexpr std::string_view kFieldManager = "holdfast-operator";
/// On a HoldfastCluster until what it made has ended.
inline constexpr std::string_view kFinalizer = "holdfast.dev/cluster";
/// On a HoldfastBackup whose stored copy is to go with it.
inline constexpr std::string_view kBackupFinalizer = "holdfast.dev/backup";
/// On a HoldfastRestore until what it replaced is removed.
inline constexpr std::string_view kRestoreFinalizer = "holdfast.dev/restore";

namespace label {
inline constexpr std::string_view kName = "app.kubernetes.io/name";
inline constexpr std::string_view kInstance = "app.kubernetes.io/instance";
inline constexpr std::string_view kComponent = "app.kubernetes.io/component";
inline constexpr std::string_view kManagedBy = "app.kubernetes.io/managed-by";
/// The cluster's name, on everything that was made for it.
inline constexpr std::string_view kCluster = "holdfast.dev/cluster";
/// On Pods and claims: the member's number.
inline constexpr std::string_view kOrdinal = "holdfast.dev/ordinal";
/// On HoldfastBackups that a schedule made: its name, or a digest of a long one.
inline constexpr std::string_view kSchedule = "holdfast.dev/schedule";
/// On Pods that work for a HoldfastBackup: its UID.
inline constexpr std::string_view kBackup = "holdfast.dev/backup";
/// On a HoldfastBackupSchedule's archiver: the schedule's UID.
inline constexpr std::string_view kArchive = "holdfast.dev/archive";
/// On Pods that work for a HoldfastRestore: its UID.
inline constexpr std::string_view kRestore = "holdfast.dev/restore";
/// On Pods: "voter" or "learner"; the budget and the client Service select voters.
inline constexpr std::string_view kRole = "holdfast.dev/role";
}  // namespace label

namespace label_value {
inline constexpr std::string_view kName = "holdfast";
inline constexpr std::string_view kMember = "member";
inline constexpr std::string_view kBackup = "backup";
inline constexpr std::string_view kManagedBy = "holdfast-operator";
inline constexpr std::string_view kVoter = "voter";
inline constexpr std::string_view kLearner = "learner";
}  // namespace label_value

namespace annotation {
/// On claims: the cluster's ID in hexadecimal. One such claim forbids a bootstrap (rule 7).
inline constexpr std::string_view kClusterId = "holdfast.dev/cluster-id";
/// On claims and Pods: the member's ID in hexadecimal, once it is known.
inline constexpr std::string_view kMemberId = "holdfast.dev/member-id";
/// On claims: the UID of the HoldfastCluster that they were made for; others are not taken over.
inline constexpr std::string_view kOwnerUid = "holdfast.dev/owner-uid";
/// On Pods: a digest of the specification they were made from.
inline constexpr std::string_view kSpecHash = "holdfast.dev/spec-hash";
/// On Pods: the release they were made for, how they began, and the ordinals they were told of.
inline constexpr std::string_view kVersion = "holdfast.dev/version";
inline constexpr std::string_view kStart = "holdfast.dev/start";
inline constexpr std::string_view kJoining = "holdfast.dev/joining";
/// On members' Pods that began with, or went back from, a restore in place: its UID.
inline constexpr std::string_view kRestore = "holdfast.dev/restore";
/// On Pods: the names of the labels and annotations that spec.podTemplate gave them, as JSON.
inline constexpr std::string_view kPodTemplateKeys = "holdfast.dev/pod-template-keys";
/// On what is held in shape by apply: a digest of the body that was applied last.
inline constexpr std::string_view kApplied = "holdfast.dev/applied";
/// On Pods: changes with the certificates that it mounts, so that the kubelet looks at once.
inline constexpr std::string_view kCertificates = "holdfast.dev/certificates";
/// On Pods: likewise, the names of the keys that it mounts.
inline constexpr std::string_view kKeys = "holdfast.dev/encryption-keys";
/// On Pods, by a Restart operation: a member made before this time is restarted.
inline constexpr std::string_view kRestartedAt = "holdfast.dev/restarted-at";
/// On Pods that work for a HoldfastBackup ("take", "verify" or "remove") or a HoldfastRestore
/// ("validate", "discard"), and which try.
inline constexpr std::string_view kBackupJob = "holdfast.dev/backup-job";
inline constexpr std::string_view kBackupTry = "holdfast.dev/backup-try";
/// On a HoldfastBackup, by its user: another text asks for another proof of what is stored.
inline constexpr std::string_view kVerify = "holdfast.dev/verify";
/// On a HoldfastCluster, by its user: the generation whose update may begin (Supervised).
inline constexpr std::string_view kApprovedGeneration = "holdfast.dev/approved-generation";
}  // namespace annotation

inline constexpr std::uint16_t kClientPort = 2379;
inline constexpr std::uint16_t kPeerPort = 2380;
inline constexpr std::uint16_t kMetricsPort = 2381;

/// The longest name of a HoldfastCluster: what is derived from it stays a DNS label.
inline constexpr std::size_t kMaxClusterNameBytes = 40;

/// The two sides of a member that speak TLS.
enum class Side { kClient, kPeer };

std::string member_name(std::string_view cluster, std::int32_t ordinal);
/// The ordinal of a member of `cluster`; nothing if the name is not one: "db-0", never "db-00".
std::optional<std::int32_t> ordinal_of(std::string_view cluster, std::string_view member);

std::string claim_name(std::string_view cluster, std::int32_t ordinal);
std::string client_service(std::string_view cluster);
std::string peer_service(std::string_view cluster);
std::string disruption_budget(std::string_view cluster);
std::string network_policy(std::string_view cluster);
/// The ServiceAccount of members, which has no rights.
std::string service_account(std::string_view cluster);

/// The built-in CA's key and certificate.
std::string ca_secret(std::string_view cluster, Side side);
/// What applications mount: ca.crt, tls.crt, tls.key.
std::string application_secret(std::string_view cluster);
/// The operator's own client certificate.
std::string operator_secret(std::string_view cluster);
/// Root's username and password, where spec.auth names no Secret.
std::string root_secret(std::string_view cluster);
/// What the operator itself keeps of root's password: what the members take, and what they are
/// about to be asked to take.
std::string auth_secret(std::string_view cluster);
/// The keys that wrap those of members' volumes, where spec.encryptionAtRest names no Secret.
std::string encryption_secret(std::string_view cluster);
/// The operator's own: what members mount of them.
std::string keys_secret(std::string_view cluster);
/// A member's certificate for one side; `member` is its name.
std::string member_secret(std::string_view member, Side side);
/// What cert-manager is asked for on behalf of the Secret `leaf`: the name of a Certificate and of
/// the Secret that it fills.
std::string issued_name(std::string_view leaf);
/// The inverse; nothing if the name is not one of these.
std::optional<std::string> issued_for(std::string_view issued);
/// The CAs that members trust, per side; no secret.
std::string trust_config_map(std::string_view cluster);

/// "db-0.db-peers.apps.svc": resolves in any cluster domain. What peer and client URLs use.
std::string member_host(std::string_view cluster, std::string_view ns, std::string_view member);
/// "db.apps.svc".
std::string client_host(std::string_view cluster, std::string_view ns);

/// The DNS names that a member's certificate must carry, shortest first. `cluster_domain` ("" if
/// unknown) adds the full names, which a reverse look-up answers with.
std::vector<std::string> member_dns_names(std::string_view cluster, std::string_view ns,
                                          std::string_view member, std::string_view cluster_domain);

/// The selector of a cluster's members, as a label selector string: /scale's.
std::string member_selector(std::string_view cluster);

/// An ID as etcd prints it: lower-case hexadecimal without leading zeros.
std::string format_id(std::uint64_t id);
inline std::string format_id(MemberId id) {
  return format_id(id.value);
}
inline std::string format_id(ClusterId id) {
  return format_id(id.value);
}
/// The inverse; nothing if it is empty, longer than 16 digits or not hexadecimal.
std::optional<std::uint64_t> parse_id(std::string_view text);

}  // namespace holdfast::api
