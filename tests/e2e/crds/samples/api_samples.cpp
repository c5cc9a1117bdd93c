// api_samples: what operator/api reads and writes, for a test that has a real API server beside it.
//
//   api_samples samples   prints one line per sample: {"object": …, "status": …}; together they set
//                         every field that the structs have
//   api_samples echo      reads one object per line and prints what the api room makes of it: the
//                         object with its defaults, or {"error": …}

#include <functional>
#include <initializer_list>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "nlohmann/json.hpp"
#include "operator/api/backup.h"
#include "operator/api/backup_schedule.h"
#include "operator/api/cluster.h"
#include "operator/api/names.h"
#include "operator/api/operation.h"
#include "operator/api/restore.h"

namespace holdfast::api {
namespace {

using nlohmann::json;

const absl::Time kTime = absl::FromUnixSeconds(1'800'000'000);
const std::string kSha256(64, 'a');
const LocalReference kReference = {"a-secret"};
constexpr ClusterId kClusterId(0xfedcba9876543210);
constexpr MemberId kMemberId(0x8e9e05c52164694d);

/// Says too much, as a member's own words might.
const std::string kWordy(2 * kMaxMessageBytes, 'w');

ObjectMeta named(std::string name) {
  return {.name = std::move(name), .ns = "default"};
}

template <class Resource>
void print(const Resource& resource) {
  json object = write(resource);
  object.erase("status");
  std::cout << json{{"object", object}, {"status", status_to_apply(resource)}}.dump() << "\n";
}

Conditions conditions(std::initializer_list<std::string_view> types) {
  Conditions all;
  for (std::string_view type : types) {
    set_condition(all, {.type = std::string(type),
                        .status = ConditionStatus::kTrue,
                        .reason = "Sampled",
                        .message = kWordy,
                        .observed_generation = 1,
                        .last_transition_time = kTime});
  }
  return all;
}

std::vector<BackupTarget> targets() {
  return {{.s3 = S3Target{.bucket = "bucket",
                          .prefix = "a/b",
                          .endpoint = "https://s3.example.org:9000",
                          .region = "us-east-1",
                          .path_style = true,
                          .credentials_secret_ref = kReference,
                          .ca_secret_ref = kReference}},
          {.gcs = GcsTarget{.bucket = "bucket",
                            .prefix = "a/b",
                            .endpoint = "http://localhost:4443",
                            .credentials_secret_ref = kReference}},
          {.azure = AzureTarget{.account = "account",
                                .container = "container",
                                .prefix = "a/b",
                                .endpoint = "https://blob.example.org",
                                .credentials_secret_ref = kReference}},
          {.pvc = ClaimTarget{.claim_name = "claim", .path = "a/b"},
           .encryption = BackupEncryption{.secret_ref = kReference}}};
}

StoredBackup stored(BackupTarget target) {
  return {.target = std::move(target), .object = "db/2026.snapshot", .sha256 = kSha256};
}

TlsSide secured(Issuer issuer) {
  TlsSide side = {.issuer = issuer,
                  .duration = absl::Hours(48),
                  .renew_before = absl::Minutes(90),
                  .extra_sans = {"db.example.org", "*.example.org", "10.0.0.1", "fd00::1"}};
  if (issuer == Issuer::kSecret) side.secret_ref = kReference;
  if (issuer == Issuer::kCertManager) {
    side.issuer_ref = IssuerReference{.name = "issuer", .kind = "ClusterIssuer"};
  }
  return side;
}

PodTemplate full_pod_template() {
  return {.resources = json::parse(
              R"({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": 2}})"),
          .affinity = json::parse(R"({"podAntiAffinity": {"whatever": ["Kubernetes", "takes"]}})"),
          .topology_spread_constraints = json::parse(
              R"([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
               "labelSelector": {"matchLabels": {"a": "b"}}}])"),
          .node_selector = {{"disk", "fast"}},
          .tolerations = json::parse(R"([{"key": "a", "operator": "Equal", "value": "b",
                                      "effect": "NoExecute", "tolerationSeconds": 60}])"),
          .priority_class_name = "high",
          .labels = {{"team", "a"}},
          .annotations = {{"note", "b"}}};
}

ClusterSpec full_spec(Issuer issuer) {
  return {.replicas = 5,
          .version = "1.2.3-rc.1",
          .image = "registry.example.org:5000/holdfast@sha256:" + kSha256,
          .image_pull_secrets = {kReference},
          .storage = {.size = {20 * kGibibyte},
                      .storage_class_name = "fast",
                      .retention = VolumeRetention::kDelete},
          .tls = {.client = secured(issuer), .peer = secured(issuer)},
          .auth = {.enabled = true, .root_secret_ref = kReference},
          .encryption_at_rest = EncryptionAtRest{.secret_ref = kReference, .secret_key = "first"},
          .options = {.quota_bytes = 8 * kGibibyte,
                      .compaction = {.mode = CompactionMode::kRevision, .retention = "1000"},
                      .election_milliseconds = 2'000},
          .pod_template = full_pod_template(),
          .service = {.type = ServiceType::kLoadBalancer,
                      .annotations = {{"cloud.example.org/kind", "internal"}},
                      .labels = {{"team", "a"}},
                      .load_balancer_class = "example.org/lb",
                      .load_balancer_source_ranges = {"10.0.0.0/8", "fd00::/8"},
                      .external_traffic_policy = TrafficPolicy::kLocal},
          .network_policy = {.enabled = true,
                             .clients_from =
                                 json::parse(R"([{"podSelector": {"matchLabels": {"a": "b"}}}])")},
          .update_policy = {.strategy = UpdateStrategy::kSupervised,
                            .windows = {{.schedule = "0 3 * * SUN", .duration = absl::Hours(2)}}},
          .maintenance = {.defragment = DefragmentSchedule{.schedule = "30 2 * * *"},
                          .compact = CompactSchedule{.schedule = "@hourly"},
                          .space = {.automatic = false,
                                    .keep_revisions = 100,
                                    .max_quota_bytes = 16 * kGibibyte,
                                    .max_storage_size = Quantity{.bytes = 64 * kGibibyte}}},
          .recovery = {.auto_quorum_recovery = true},
          .paused = true,
          .fenced_members = {"full-1"},
          .monitoring = {
              .service_monitor = true, .rules = true, .labels = {{"release", "prometheus"}}}};
}

TlsSideStatus full_tls_side() {
  return {.mode = TlsMode::kMixed,
          .phase = TlsPhase::kReissuing,
          .ca_sha256 = kSha256,
          .other_ca_sha256 = kSha256,
          .bundle_sha256 = kSha256,
          .ca_not_after = kTime,
          .rotated_at = kTime,
          .phase_started_at = kTime};
}

std::vector<MemberStatus> full_members() {
  std::vector<MemberStatus> members;
  for (MemberRole role :
       {MemberRole::kUnknown, MemberRole::kLeader, MemberRole::kFollower, MemberRole::kLearner}) {
    members.push_back({.name = member_name("full", static_cast<std::int32_t>(role)),
                       .id = kMemberId,
                       .role = role,
                       .ready = true,
                       .version = "1.2.3",
                       .cert_not_after = kTime,
                       .zone = "zone-a",
                       .node = "node-1",
                       .not_ready_since = kTime});
  }
  return members;
}

ClusterStatus full_cluster_status() {
  return {.observed_generation = 1,
          .cluster_id = kClusterId,
          .next_ordinal = 7,
          .target = Target{.generation = 1,
                           .replicas = 5,
                           .version = "1.2.3",
                           .image = "image",
                           .storage_size = Quantity{3 * kGibibyte / 2},
                           .storage_class_name = "fast",
                           .spec_hash = kSha256,
                           .started_at = kTime},
          .operation = OperationInFlight{.type = "ReplaceMember",
                                         .member = "full-3",
                                         .member_id = kMemberId,
                                         .step = "AddLearner",
                                         .message = kWordy,
                                         .started_at = kTime,
                                         .step_started_at = kTime,
                                         .requested_by = "an-operation",
                                         .pod_uid = "5f0c1c9e-0000-4000-8000-000000000001"},
          .recovery =
              QuorumRecovery{
                  .survivor = "full-3", .raft_index = 42, .forced_at = kTime, .started_at = kTime},
          .restore = RestoreInPlace{.name = "a-restore",
                                    .uid = "5f0c1c9e-0000-4000-8000-000000000002",
                                    .step = InPlaceStep::kRestoring,
                                    .message = kWordy,
                                    .members = {"full-1"},
                                    .voters_before = 3,
                                    .previous_cluster_id = kClusterId,
                                    .cluster_id = kClusterId,
                                    .started_at = kTime},
          .tls = TlsStatus{full_tls_side(), full_tls_side()},
          .encryption = EncryptionStatus{.key_id = "0123456789abcdef",
                                         .key_ids = {"0123456789abcdef", "fedcba9876543210"},
                                         .members_behind = {"full-2"}},
          .maintenance = MaintenanceStatus{.defragmented_at = kTime,
                                           .compacted_at = kTime,
                                           .scheduled_since = kTime,
                                           .defragmenting = true,
                                           .defragmented_members = {"full-1"}},
          .space = SpaceStatus{.making_room = MakingRoom{.since = kTime,
                                                         .compacted_at = kTime,
                                                         .defragmented_members = {"full-1"},
                                                         .exhausted_at = kTime},
                               .disarmed_at = kTime,
                               .granted_quota_bytes = 12 * kGibibyte,
                               .granted_storage_bytes = 48 * kGibibyte,
                               .sample_seconds = 60,
                               .samples = {{.time = kTime, .bytes = kGibibyte, .revision = 7}},
                               .told_full_within_seconds = 86'400},
          .replicas = 5,
          .selector = member_selector("full"),
          .ready_replicas = 4,
          .members_ready = "4/5",
          .leader = "full-0",
          .current_version = "1.2.2",
          .etcd_version = "3.7",
          .lowering_etcd_version = "3.6",
          .members = full_members(),
          .foreign_members = 3,
          .quorum_lost_since = kTime,
          .parked =
              ParkedOperation{
                  .type = "RestartMember", .member = "full-1", .generation = 1, .since = kTime},
          .members_aside = {"full-2", "full-4"},
          .last_backup =
              LastBackup{.name = "backup", .uri = "s3://bucket/a/b", .time = kTime, .revision = 9},
          .conditions =
              conditions({condition::kReady, condition::kQuorumHealthy, condition::kProgressing,
                          condition::kDegraded, condition::kUpgrading, condition::kTlsReady,
                          condition::kBackupHealthy, condition::kStorageHealthy,
                          condition::kAlarmActive, condition::kPaused, condition::kHibernated})};
}

void print_clusters() {
  HoldfastCluster cluster = {.metadata = named("full"), .spec = full_spec(Issuer::kCertManager)};
  cluster.status = full_cluster_status();
  print(cluster);
  print(HoldfastCluster{.metadata = named("bare")});

  cluster = {.metadata = named("own-certificates"), .spec = full_spec(Issuer::kSecret)};
  cluster.spec.bootstrap.join = JoinRunning{.endpoints = {"https://etcd-0.example.org:2379"},
                                            .client_secret_ref = kReference,
                                            .peer_secret_ref = kReference,
                                            .credentials_secret_ref = kReference};
  print(cluster);
  cluster = {.metadata = named("from-a-backup")};
  cluster.spec.bootstrap.restore =
      RestoreFrom{.backup_ref = {"backup"}, .until = RestorePoint{.time = kTime}};
  print(cluster);
  int number = 0;
  for (const BackupTarget& target : targets()) {
    cluster.metadata.name = "from-elsewhere-" + std::to_string(number++);
    cluster.spec.bootstrap.restore =
        RestoreFrom{.stored = stored(target), .until = RestorePoint{.revision = 9}};
    print(cluster);
  }
}

void print_operations() {
  const std::vector<OperationAction> actions = {
      Defragment{"db-0"},
      Defragment{},
      Compact{.revision = 7},
      Compact{.keep_revisions = 7},
      MoveLeader{"db-1"},
      DisarmAlarm{.alarm = Alarm::kCorrupt, .member = "db-0"},
      ReplaceMember{"db-2"},
      RotateCertificates{.scope = RotationScope::kAuthority, .side = RotationSide::kPeer},
      RecoverQuorum{.survivor = "db-1", .accept_data_loss = true},
      Restart{"db-0"},
      FinishJoin{}};
  int number = 0;
  for (const OperationAction& action : actions) {
    HoldfastOperation operation = {.metadata = named("operation-" + std::to_string(number++))};
    operation.spec = {.cluster_ref = {"db"}, .action = action, .ttl_seconds_after_finished = 3'600};
    operation.status = {.observed_generation = 1,
                        .step = "Begin",
                        .member = "db-0",
                        .member_id = kMemberId,
                        .message = kWordy,
                        .started_at = kTime,
                        .completed_at = kTime,
                        .done_members = {"db-1", "db-2"},
                        .conditions = conditions(
                            {condition::kProgressing, condition::kComplete, condition::kFailed})};
    print(operation);
  }
}

void print_backup(std::string name, const BackupTarget& target) {
  HoldfastBackup backup = {.metadata = named(std::move(name))};
  backup.spec = {.cluster_ref = {"db"},
                 .target = target,
                 .deletion_policy = BackupDeletion::kDelete,
                 .service_account_name = "backups"};
  backup.status = {
      .observed_generation = 1,
      .attempts = 1,
      .verification = Verification{.request = "spec",
                                   .run = 1,
                                   .attempts = 1,
                                   .started_at = kTime,
                                   .finished_at = kTime,
                                   .restore_milliseconds = 1},
      .uri = "s3://bucket/a/b",
      .size_bytes = 1,
      .sha256 = kSha256,
      .revision = 1,
      .log_index = 1,
      .version = "1.2.3",
      .member = "db-0",
      .cluster_id = kClusterId,
      .started_at = kTime,
      .completed_at = kTime,
      .verified_at = kTime,
      .conditions = conditions({condition::kComplete, condition::kVerified, condition::kFailed})};
  print(backup);
}

void print_schedule(std::string name, const BackupTarget& target) {
  HoldfastBackupSchedule schedule = {.metadata = named(std::move(name))};
  schedule.spec = {.cluster_ref = {"db"},
                   .target = target,
                   .schedule = "0 */6 * * *",
                   .time_zone = "Europe/Berlin",
                   .suspend = true,
                   .immediate = true,
                   .concurrency_policy = ConcurrencyPolicy::kReplace,
                   .retention = {.count = 7, .age = absl::Hours(720), .bytes = Quantity{kGibibyte}},
                   .archive = {.enabled = true, .max_lag_seconds = 120},
                   .deletion_policy = BackupDeletion::kDelete,
                   .service_account_name = "backups"};
  schedule.status = {.observed_generation = 1,
                     .last_schedule_time = kTime,
                     .next_schedule_time = kTime,
                     .last_successful_time = kTime,
                     .last_backup = "backup",
                     .active_backup = "backup",
                     .kept_count = 1,
                     .kept_bytes = 1,
                     .unverified_count = 1,
                     .archived_revision = 1,
                     .archive = ArchiveStatus{.uri = "s3://bucket/prefix/ns/db/log-1",
                                              .cluster_id = ClusterId(1),
                                              .after_index = 1,
                                              .end_index = 2,
                                              .archived_until = kTime,
                                              .lag_seconds = 1,
                                              .seen_at = kTime,
                                              .stored_bytes = 1,
                                              .segments = 1,
                                              .backup_asked_after = 1},
                     .conditions = conditions({condition::kScheduled, condition::kArchiveHealthy})};
  print(schedule);
}

void print_restore(std::string name, RestoreSource source, RestorePoint until) {
  HoldfastRestore restore = {.metadata = named(std::move(name))};
  restore.spec = {.cluster_ref = {"db"},
                  .source = std::move(source),
                  .until = until,
                  .service_account_name = "backups",
                  .keep_old_data = absl::Hours(1),
                  .undo = true};
  restore.status = {.observed_generation = 1,
                    .step = RestoreStep::kValidating,
                    .message = kWordy,
                    .started_at = kTime,
                    .validated_at = kTime,
                    .completed_at = kTime,
                    .attempts = 1,
                    .size_bytes = 7,
                    .source = restore.spec.source.stored,
                    .members = {"db-0"},
                    .old_data_kept_until = kTime,
                    .discarded_members = {"db-0"},
                    .finished_at = kTime,
                    .revision = 9,
                    .previous_cluster_id = kClusterId,
                    .cluster_id = kClusterId,
                    .conditions = conditions({condition::kValidated, condition::kComplete})};
  print(restore);
}

void print_backups() {
  int number = 0;
  for (const BackupTarget& target : targets()) {
    const std::string suffix = "-" + std::to_string(number++);
    print_backup("backup" + suffix, target);
    print_schedule("schedule" + suffix, target);
    print_restore("restore" + suffix, {.stored = stored(target)}, {.revision = 9});
  }
  print_restore("restore-by-name", {.backup_ref = {"backup"}}, {.time = kTime});
}

template <class Resource>
json echo_as(const json& object) {
  const auto resource = read<Resource>(object);
  if (!resource.ok()) return {{"error", std::string(resource.status().message())}};
  return write(*resource);
}

json echo(const json& object) {
  static const std::map<std::string, std::function<json(const json&)>> kinds = {
      {"HoldfastCluster", echo_as<HoldfastCluster>},
      {"HoldfastOperation", echo_as<HoldfastOperation>},
      {"HoldfastBackup", echo_as<HoldfastBackup>},
      {"HoldfastBackupSchedule", echo_as<HoldfastBackupSchedule>},
      {"HoldfastRestore", echo_as<HoldfastRestore>}};
  const auto found = object.is_object() ? kinds.find(object.value("kind", "")) : kinds.end();
  if (found == kinds.end()) return {{"error", "this is no object of a kind that api reads"}};
  return found->second(object);
}

}  // namespace
}  // namespace holdfast::api

int main(int argc, char** argv) {
  using namespace holdfast::api;
  const std::string mode = argc == 2 ? argv[1] : "";
  if (mode == "samples") {
    print_clusters();
    print_operations();
    print_backups();
    return 0;
  }
  if (mode == "echo") {
    for (std::string line; std::getline(std::cin, line);) {
      std::cout << echo(nlohmann::json::parse(line, nullptr, false)).dump() << "\n";
    }
    return 0;
  }
  std::cerr << "usage: api_samples samples|echo\n";
  return 2;
}
