#include "operator/api/resource.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "operator/api/backup.h"
#include "operator/api/backup_schedule.h"
#include "operator/api/cluster.h"
#include "operator/api/operation.h"
#include "operator/api/restore.h"

namespace holdfast::api {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::VariantWith;

json minimal(std::string_view kind) {
  return {{"apiVersion", "holdfast.dev/v1alpha1"},
          {"kind", kind},
          {"metadata", {{"name", "x"}, {"namespace", "apps"}, {"uid", "u-1"}}}};
}

std::string error_of(const json& object) {
  return std::string(read<HoldfastCluster>(object).status().message());
}

TEST(Cluster, HasDefaultsWhereNothingIsSaid) {
  HoldfastCluster expected;
  expected.metadata = {.name = "x", .ns = "apps", .uid = "u-1"};
  EXPECT_EQ(read<HoldfastCluster>(minimal("HoldfastCluster")).value(), expected);
  json spelt_out = minimal("HoldfastCluster");
  spelt_out["spec"] = {
      {"replicas", nullptr}, {"unknown", 1}, {"tls", {{"client", json::object()}}}};
  EXPECT_EQ(read<HoldfastCluster>(spelt_out).value(), expected);
}

TEST(Cluster, ReadsEveryKindOfField) {
  json object = minimal("HoldfastCluster");
  object["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z";
  object["metadata"]["finalizers"] = {"holdfast.dev/cluster"};
  object["metadata"]["annotations"] = {{"a", "b"}};
  object["spec"] = json::parse(R"({
    "replicas": 5,
    "version": "1.2.3",
    "imagePullSecrets": [{"name": "registry"}],
    "storage": {"size": "20Gi", "retention": "Delete"},
    "tls": {"client": {"issuer": "CertManager", "issuerRef": {"name": "ca"}, "duration": "48h",
                       "renewBefore": "24h", "extraSANs": ["db.example.org"]},
            "peer": {"enabled": false}},
    "encryptionAtRest": {"secretRef": {"name": "key"}},
    "options": {"quotaBytes": 4294967296, "compaction": {"mode": "Revision", "retention": "1000"}},
    "podTemplate": {"resources": {"limits": {"memory": "1Gi"}}, "nodeSelector": {"disk": "fast"},
                    "tolerations": [{"operator": "Exists"}]},
    "updatePolicy": {"windows": [{"schedule": "0 3 * * *", "duration": "2h"}]},
    "bootstrap": {"restore": {"stored": {"target": {"s3": {"bucket": "b"}}, "object": "o"}}},
    "fencedMembers": ["x-1"]
  })");
  object["status"] = json::parse(R"({
    "clusterID": "8e9e05c52164694d",
    "target": {"generation": 4, "replicas": 5},
    "operation": {"type": "AddMember", "member": "x-3", "memberID": "a1", "step": "Promote",
                  "startedAt": "2026-01-31T12:00:00Z"},
    "members": [{"name": "x-0", "id": "ff", "role": "Leader", "ready": true}],
    "conditions": [{"type": "Ready", "status": "True", "reason": "Serving", "message": "",
                    "lastTransitionTime": "2026-01-31T12:00:00Z"}]
  })");
  const auto cluster = read<HoldfastCluster>(object);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_TRUE(cluster->metadata.deletion_timestamp.has_value());
  const ClusterSpec& spec = cluster->spec;
  EXPECT_EQ(spec.replicas, 5);
  EXPECT_EQ(spec.image_pull_secrets[0].name, "registry");
  EXPECT_EQ(spec.storage.size.bytes, 20 * kGibibyte);
  EXPECT_EQ(spec.storage.retention, VolumeRetention::kDelete);
  EXPECT_EQ(spec.tls.client.issuer, Issuer::kCertManager);
  EXPECT_EQ(spec.tls.client.issuer_ref->kind, "Issuer");
  EXPECT_EQ(spec.tls.client.renew_before, absl::Hours(24));
  EXPECT_FALSE(spec.tls.peer.enabled);
  EXPECT_EQ(spec.options.quota_bytes, 4294967296);
  EXPECT_EQ(spec.options.snapshot_count, 10'000);
  EXPECT_EQ(spec.pod_template.resources["limits"]["memory"], "1Gi");
  EXPECT_EQ(spec.update_policy.windows[0].time_zone, "Etc/UTC");
  EXPECT_EQ(spec.bootstrap.restore->stored->target.s3->bucket, "b");
  EXPECT_EQ(cluster->status.cluster_id, ClusterId(0x8e9e05c52164694d));
  EXPECT_EQ(cluster->status.operation->member_id, MemberId(0xa1));
  EXPECT_EQ(cluster->status.members[0].role, MemberRole::kLeader);
  EXPECT_TRUE(is_true(cluster->status.conditions, condition::kReady));

  EXPECT_EQ(read<HoldfastCluster>(write(*cluster)).value(), *cluster);
}

TEST(Cluster, NamesTheFieldThatItCannotRead) {
  const struct {
    std::string_view pointer;
    json value;
    std::string_view says;
  } cases[] = {
      {"/spec", "text", "spec: must be an object, not of type string"},
      {"/spec/replicas", "3", "spec.replicas: must be a whole number"},
      {"/spec/replicas", 3.5, "spec.replicas: must be a whole number"},
      {"/spec/replicas", 3000000000, "spec.replicas: the number is out of range"},
      {"/spec/replicas", 18446744073709551615U, "spec.replicas: the number is out of range"},
      {"/spec/paused", "yes", "spec.paused: must be true or false"},
      {"/spec/version", 1, "spec.version: must be a string"},
      {"/spec/storage/size", "10GB", "spec.storage.size: \"10GB\" is not a quantity"},
      {"/spec/storage/size", -1, "spec.storage.size: a quantity of bytes is not negative"},
      {"/spec/storage/retention", "keep", "spec.storage.retention: must be one of Retain, Delete"},
      {"/spec/tls/peer/duration", "1d", "spec.tls.peer.duration: \"1d\" is not a duration"},
      {"/spec/fencedMembers", "x-0", "spec.fencedMembers: must be a list"},
      {"/spec/imagePullSecrets",
       {{{"name", 1}}},
       "spec.imagePullSecrets[0].name: must be a string"},
      {"/spec/podTemplate/labels", {{"a", 1}}, "spec.podTemplate.labels.a: must be a string"},
      {"/metadata/deletionTimestamp", "soon", "metadata.deletionTimestamp: \"soon\" is not a time"},
      {"/status/clusterID", "xyz", "status.clusterID: must be an ID"},
      {"/kind", "HoldfastBackup", "this object is not a HoldfastCluster of holdfast.dev/v1alpha1"},
      {"/apiVersion", "holdfast.dev/v2", "this object is not a HoldfastCluster"},
  };
  for (const auto& each : cases) {
    json object = minimal("HoldfastCluster");
    object[json::json_pointer(std::string(each.pointer))] = each.value;
    EXPECT_THAT(error_of(object), HasSubstr(std::string(each.says))) << each.pointer;
  }
  EXPECT_THAT(error_of(json::array()), HasSubstr("must be an object, not array"));
  EXPECT_THAT(error_of(nullptr), HasSubstr("must be an object, not null"));
}

TEST(Cluster, AppliesItsStatusAndNothingElse) {
  HoldfastCluster cluster;
  cluster.metadata = {.name = "db",
                      .ns = "apps",
                      .uid = "u-1",
                      .resource_version = "7",
                      .generation = 3,
                      .labels = {{"a", "b"}}};
  cluster.status.cluster_id = ClusterId(0xab);
  cluster.status.operation = {.type = "AddMember",
                              .message = std::string(2 * kMaxMessageBytes, 'm'),
                              .started_at = absl::UnixEpoch()};
  const json applied = status_to_apply(cluster);
  EXPECT_EQ(applied["metadata"], json({{"name", "db"}, {"namespace", "apps"}, {"uid", "u-1"}}));
  EXPECT_FALSE(applied.contains("spec"));
  EXPECT_EQ(applied["status"]["clusterID"], "ab");
  EXPECT_EQ(applied["status"]["operation"]["message"].get<std::string>().size(), kMaxMessageBytes);
  EXPECT_EQ(applied["status"]["operation"]["startedAt"], "1970-01-01T00:00:00Z");
  EXPECT_FALSE(applied["status"].contains("leader"));
  EXPECT_FALSE(applied["status"].contains("target"));
  EXPECT_EQ(applied["status"]["replicas"], 0);
}

TEST(Operation, ReadsEachType) {
  json object = minimal("HoldfastOperation");
  object["spec"] = {{"clusterRef", {{"name", "db"}}}, {"type", "ReplaceMember"}};
  object["spec"]["replaceMember"] = {{"member", "db-1"}};
  EXPECT_THAT(read<HoldfastOperation>(object)->spec.action,
              VariantWith<ReplaceMember>(ReplaceMember{.member = "db-1"}));

  for (std::string_view type :
       {"Defragment", "Compact", "MoveLeader", "DisarmAlarm", "ReplaceMember", "RotateCertificates",
        "RecoverQuorum", "Restart", "FinishJoin"}) {
    object["spec"]["type"] = type;
    const auto operation = read<HoldfastOperation>(object);
    ASSERT_TRUE(operation.ok()) << operation.status();
    EXPECT_EQ(type_of(operation->spec.action), type);
    EXPECT_EQ(read<HoldfastOperation>(write(*operation)).value(), *operation);
  }
  object["spec"]["type"] = "Explode";
  EXPECT_THAT(std::string(read<HoldfastOperation>(object).status().message()),
              HasSubstr("spec.type: \"Explode\" is no operation"));
  object["spec"]["type"] = "RotateCertificates";
  object["spec"]["rotateCertificates"] = {{"scope", "All"}};
  EXPECT_THAT(std::string(read<HoldfastOperation>(object).status().message()),
              HasSubstr("spec.rotateCertificates.scope: must be one of Leaves, Authority"));
}

TEST(Operation, IsFinishedOnceItIsCompleteOrFailed) {
  HoldfastOperation operation;
  EXPECT_FALSE(is_finished(operation));
  set_condition(operation.status.conditions,
                {.type = std::string(condition::kFailed), .status = ConditionStatus::kFalse});
  EXPECT_FALSE(is_finished(operation));
  set_condition(operation.status.conditions,
                {.type = std::string(condition::kComplete), .status = ConditionStatus::kTrue});
  EXPECT_TRUE(is_finished(operation));
}

TEST(Backups, SurviveTheRoundTrip) {
  HoldfastBackup backup;
  backup.metadata = {.name = "b", .ns = "apps"};
  backup.spec = {.cluster_ref = {"db"},
                 .target = {.s3 = S3Target{.bucket = "b", .prefix = "p", .path_style = true}},
                 .deletion_policy = BackupDeletion::kDelete};
  backup.status = {.uri = "s3://b/p/x",
                   .size_bytes = 5,
                   .cluster_id = ClusterId(7),
                   .verified_at = absl::UnixEpoch()};
  EXPECT_EQ(read<HoldfastBackup>(write(backup)).value(), backup);

  HoldfastBackupSchedule schedule;
  schedule.metadata = {.name = "s", .ns = "apps"};
  schedule.spec = {.cluster_ref = {"db"},
                   .target = {.pvc = ClaimTarget{.claim_name = "c", .path = "a/b"}},
                   .schedule = "0 * * * *",
                   .concurrency_policy = ConcurrencyPolicy::kReplace,
                   .retention = {.count = 7, .age = absl::Hours(720), .bytes = Quantity{1 << 20}},
                   .archive = {.enabled = true}};
  schedule.status.last_schedule_time = absl::UnixEpoch();
  EXPECT_EQ(read<HoldfastBackupSchedule>(write(schedule)).value(), schedule);

  HoldfastRestore restore;
  restore.metadata = {.name = "r", .ns = "apps"};
  restore.spec = {.cluster_ref = {"db"},
                  .source = {.backup_ref = {"b"}},
                  .until = RestorePoint{.time = absl::UnixEpoch()}};
  restore.status = {.step = RestoreStep::kValidating, .previous_cluster_id = ClusterId(1)};
  EXPECT_EQ(read<HoldfastRestore>(write(restore)).value(), restore);
}

}  // namespace
}  // namespace holdfast::api
