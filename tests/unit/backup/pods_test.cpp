#include "operator/backup/pods.h"

#include <algorithm>
#include <string>

#include "gtest/gtest.h"
#include "operator/backup/seed.h"
#include "operator/backup/target.h"

namespace holdfast::backup {
namespace {

using nlohmann::json;

api::HoldfastBackup backup_to(api::BackupTarget target) {
  api::HoldfastBackup backup;
  backup.metadata.name = "nightly";
  backup.metadata.ns = "apps";
  backup.metadata.uid = "0a1b2c3d-0000";
  backup.spec.cluster_ref.name = "db";
  backup.spec.target = std::move(target);
  backup.status.member = "db-1";
  return backup;
}

api::BackupTarget s3() {
  api::BackupTarget target;
  target.s3 = api::S3Target{.bucket = "bucket",
                            .prefix = "a/b/",
                            .endpoint = "https://s3.example.org",
                            .region = "eu",
                            .path_style = true,
                            .credentials_secret_ref = {"s3"},
                            .ca_secret_ref = {"ca"}};
  target.encryption = api::BackupEncryption{{"keys"}};
  return target;
}

json pod_of(const api::HoldfastBackup& backup, Job job) {
  return worker_pod(backup, {job, 1, absl::Seconds(100)},
                    {.worker_image = "operator:1", .member_image = "holdfast:1"});
}

/// Every text in it.
std::string texts(const json& value) {
  return value.dump();
}

TEST(TargetTest, PlacesAndNames) {
  EXPECT_EQ(access_to(s3()).remote, "target:bucket/a/b");
  EXPECT_EQ(uri_of(s3(), "x.db"), "s3://bucket/a/b/x.db");
  EXPECT_EQ(access_to({.gcs = api::GcsTarget{.bucket = "g"}}).remote, "target:g");
  EXPECT_EQ(uri_of({.azure = api::AzureTarget{.account = "acc", .container = "con"}}, "x"),
            "azblob://acc/con/x");
  EXPECT_EQ(access_to({.pvc = api::ClaimTarget{"claim", "deep/er"}}).remote,
            "/var/lib/holdfast-target/deep/er");
}

TEST(TargetTest, WithoutASecretThePodsOwnIdentityIsUsed) {
  api::BackupTarget target = s3();
  target.s3->credentials_secret_ref.name.clear();
  EXPECT_NE(texts(access_to(target).environment).find("ENV_AUTH"), std::string::npos);
  EXPECT_NE(
      texts(access_to({.azure = api::AzureTarget{.account = "a", .container = "c"}}).environment)
          .find("USE_MSI"),
      std::string::npos);
}

TEST(PodsTest, EveryContainerIsRestrictedAndNoPodHasAToken) {
  for (const Job job : {Job::kTake, Job::kVerify, Job::kRemove}) {
    const json pod = pod_of(backup_to(s3()), job);
    EXPECT_EQ(pod["spec"]["automountServiceAccountToken"], false);
    EXPECT_EQ(pod["spec"]["restartPolicy"], "Never");
    EXPECT_EQ(pod["spec"]["activeDeadlineSeconds"], 100);
    EXPECT_EQ(pod["spec"]["securityContext"]["runAsNonRoot"], true);
    for (const char* list : {"initContainers", "containers"}) {
      for (const json& container : pod["spec"].value(list, json::array())) {
        EXPECT_EQ(container["securityContext"]["allowPrivilegeEscalation"], false);
        EXPECT_EQ(container["securityContext"]["readOnlyRootFilesystem"], true);
      }
    }
    EXPECT_EQ(pod["metadata"]["ownerReferences"][0]["uid"], "0a1b2c3d-0000");
  }
}

TEST(PodsTest, SecretsComeByReferenceOnly) {
  const json container = pod_of(backup_to(s3()), Job::kTake)["spec"]["containers"][0];
  for (const json& variable : container["env"]) {
    const std::string name = variable["name"];
    if (name.find("KEY") != std::string::npos || name.find("TOKEN") != std::string::npos) {
      EXPECT_TRUE(variable.contains("valueFrom")) << name;
    }
  }
  EXPECT_EQ(texts(container["args"]).find("secret"), std::string::npos);
}

TEST(PodsTest, APodIsReadBackByItsOwner) {
  const api::HoldfastBackup backup = backup_to(s3());
  json pod = pod_of(backup, Job::kTake);
  pod["status"] = {{"phase", "Pending"}};
  auto seen = read_pod(pod, backup);
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->job, Job::kTake);
  EXPECT_EQ(seen->number, 1);
  EXPECT_FALSE(seen->ended);
  api::HoldfastBackup other = backup;
  other.metadata.uid = "another";
  EXPECT_FALSE(read_pod(pod, other).has_value());
}

json ended(const char* name, int code, const std::string& message) {
  return {{"name", name}, {"state", {{"terminated", {{"exitCode", code}, {"message", message}}}}}};
}

TEST(PodsTest, VerdictsOfAProof) {
  const api::HoldfastBackup backup = backup_to(s3());
  json pod = pod_of(backup, Job::kVerify);
  const std::string fetched = write_verdict({.succeeded = true, .reason = "Fetched"});
  const std::string proved = write_verdict({.succeeded = true, .reason = "Proved"});
  pod["status"] = {
      {"phase", "Succeeded"},
      {"initContainerStatuses", json::array({ended("fetch", 0, fetched), ended("restore", 0, ""),
                                             ended("serve", 137, "killed")})},
      {"containerStatuses", json::array({ended("check", 0, proved)})}};
  EXPECT_EQ(read_pod(pod, backup)->verdict->reason, "Proved");
  pod["status"] = {{"phase", "Failed"},
                   {"initContainerStatuses",
                    json::array({ended("fetch", 1, write_verdict({.reason = "Damaged"}))})}};
  EXPECT_EQ(read_pod(pod, backup)->verdict->reason, "Damaged");
  pod["status"]["initContainerStatuses"] =
      json::array({ended("fetch", 0, fetched), ended("restore", 1, "no such key")});
  EXPECT_EQ(read_pod(pod, backup)->verdict->reason, "RestoreFailed");
  pod["status"] = {{"phase", "Failed"}, {"reason", "DeadlineExceeded"}};
  EXPECT_FALSE(read_pod(pod, backup)->verdict.has_value());
  EXPECT_EQ(read_pod(pod, backup)->trouble, "DeadlineExceeded");
}

TEST(PodsTest, AReplaysRefusalIsToldInItsOwnWords) {
  const api::HoldfastBackup backup = backup_to(s3());
  json pod = pod_of(backup, Job::kVerify);
  const std::string words = "revision 9 lies before the snapshot's, 12: begin with an earlier one";
  const std::string log =
      "{\"level\":\"info\",\"msg\":\"replaying an archive\"}\n{\"level\":\"error\",\"error\":\"" +
      words + "\"}\n";
  for (const auto& [message, told] : {std::pair(log, words), std::pair(words, words)}) {
    pod["status"] = {{"phase", "Failed"},
                     {"initContainerStatuses", json::array({ended("replay", 1, message)})}};
    const PodSeen seen = read_worker_pod(pod, "check");
    ASSERT_TRUE(seen.verdict.has_value());
    EXPECT_EQ(seen.verdict->reason, "UntilNotPossible");
    EXPECT_EQ(seen.verdict->message, told);
    EXPECT_FALSE(seen.verdict->retryable);
  }
}

TEST(SeedTest, ABackupIsFetchedAndRestoredBeforeTheMemberStarts) {
  const json pod = {
      {"spec",
       {{"containers",
         json::array({{{"name", "holdfast"},
                       {"image", "holdfast:1"},
                       {"imagePullPolicy", "IfNotPresent"},
                       {"securityContext", json::object()},
                       {"args",
                        {"--name=db-0", "--initial-cluster=db-0=https://db-0:2380",
                         "--initial-cluster-token=uid", "--initial-cluster-state=new"}}}})},
        {"volumes", json::array()}}}};
  const json seeded =
      add_restore(pod, "operator:1", {s3(), "apps/db/x.db.sealed", "abc", false}, 1'000'000'000);
  const json& init = seeded["spec"]["initContainers"];
  ASSERT_EQ(init.size(), 2U);
  EXPECT_EQ(init[0]["image"], "operator:1");
  EXPECT_NE(texts(init[0]["args"]).find("--unless-exists=/var/lib/holdfast/data"),
            std::string::npos);
  const std::string arguments = texts(init[1]["args"]);
  for (const char* wanted :
       {"--name=db-0", "--initial-cluster=db-0=https://db-0:2380", "--initial-cluster-token=uid",
        "--bump-revision=1000000000", "--mark-compacted", "--unless-exists"}) {
    EXPECT_NE(arguments.find(wanted), std::string::npos) << wanted;
  }
  EXPECT_EQ(arguments.find("--initial-cluster-state"), std::string::npos);
}

/// Passwords reach a worker as files of the operator's own Secret, and a proof needs none.
TEST(PodsTest, AuthenticationIsAFileForWhoTakesAndATokenOfItsOwnForWhoProves) {
  api::HoldfastCluster cluster;
  cluster.metadata.name = "db";
  const PodParts parts{
      .worker_image = "operator:1", .member_image = "holdfast:1", .cluster = &cluster};
  const auto pod_for = [&](Job job) {
    return worker_pod(backup_to(s3()), {job, 1, absl::Seconds(100)}, parts);
  };
  EXPECT_EQ(texts(pod_for(Job::kTake)).find("db-auth"), std::string::npos);
  cluster.spec.auth.enabled = true;
  const json take = pod_for(Job::kTake);
  EXPECT_NE(texts(take["spec"]["containers"][0]["args"]).find("--credentials=/etc/holdfast"),
            std::string::npos);
  EXPECT_NE(texts(take["spec"]["volumes"]).find("db-auth"), std::string::npos);
  const json proof = pod_for(Job::kVerify);
  EXPECT_EQ(texts(proof).find("db-auth"), std::string::npos);
  EXPECT_NE(texts(proof["spec"]["initContainers"])
                .find("--auth-token=jwt,sign-method=HS256,priv-key=/scratch/token.key"),
            std::string::npos);
}

}  // namespace
}  // namespace holdfast::backup
