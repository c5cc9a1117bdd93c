#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "operator/specs/claim.h"
#include "tests/unit/specs/specs_fixture.h"

/// Every object as it goes to the apiserver, in tests/testdata/specs.
/// HOLDFAST_REWRITE_TRANSCRIPTS=1 writes them anew; the diff is then for a reader to judge.
namespace holdfast::specs {
namespace {

using nlohmann::json;

struct Golden {
  std::string name;
  json value;
};

const TlsModes kOff = {api::TlsMode::kOff, api::TlsMode::kOff};
const TlsModes kMixed = {api::TlsMode::kMixed, api::TlsMode::kMixed};

api::HoldfastCluster without_tls() {
  api::HoldfastCluster cluster = small_cluster();
  cluster.spec.tls.client.enabled = cluster.spec.tls.peer.enabled = false;
  return cluster;
}

api::HoldfastCluster uncompacted() {
  api::HoldfastCluster cluster = without_tls();
  cluster.spec.options.compaction.mode = api::CompactionMode::kOff;
  return cluster;
}

json sealed_pod() {
  MemberTemplate member = template_of(without_tls(), kOff);
  member.keys_secret = "db-keys";
  return member_pod(without_tls(), member, {}, {.start = Start::kNewCluster, .joining = {0}});
}

std::vector<Golden> goldens() {
  const MemberStart seed = {.start = Start::kNewCluster, .joining = {0}, .foreign = {}};
  const MemberStart third = {.start = Start::kJoinExisting, .joining = {0, 1, 2}, .foreign = {}};
  const MemberStart forced = {.start = Start::kForceNewCluster, .joining = {1}, .foreign = {}};
  const MemberStart beside_etcd = {.start = Start::kJoinExisting,
                                   .joining = {0},
                                   .foreign = {{"old-a", "https://10.0.0.1:2380"}}};
  const MemberMarks learner = {.ordinal = 2, .learner = true, .id = {}, .annotations = {}};
  const MemberMarks voter = {.ordinal = 2,
                             .learner = false,
                             .id = MemberId{0xabc},
                             .annotations = {{"holdfast.dev/tls", "digest"}}};
  const Surroundings plain = {.budget = 2, .operator_namespace = "holdfast-system"};
  const Surroundings rich = {.budget = 3,
                             .has_service_monitors = true,
                             .has_rules = true,
                             .operator_namespace = "holdfast-system"};
  return {
      {"pod-seed", pod_of(small_cluster(), {}, seed)},
      {"pod-learner", pod_of(small_cluster(), learner, third)},
      {"pod-forced", pod_of(small_cluster(), {.ordinal = 1}, forced)},
      {"pod-full", pod_of(full_cluster(), voter, third)},
      {"pod-plain", pod_of(uncompacted(), {}, seed, kOff)},
      {"pod-switching-tls-on", pod_of(small_cluster(), {}, seed, kMixed)},
      {"pod-switching-tls-off", pod_of(without_tls(), {}, seed, kMixed)},
      {"pod-sealed", sealed_pod()},
      {"pod-beside-etcd", pod_of(small_cluster(), {.learner = true}, beside_etcd)},
      {"claim-seed", member_claim(small_cluster(), {})},
      {"claim-full", member_claim(full_cluster(), {.ordinal = 4, .cluster_id = ClusterId{0xbeef}})},
      {"standing-small", standing_objects(small_cluster(), plain)},
      {"standing-full", standing_objects(full_cluster(), rich)},
      {"trust", trust_object(small_cluster(), "CLIENT CA\n", "PEER CA\n")},
  };
}

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class GoldenObject : public testing::TestWithParam<Golden> {};

TEST_P(GoldenObject, IsAsReviewed) {
  const std::string path = std::string(HOLDFAST_TESTDATA "/specs/") + GetParam().name + ".json";
  const std::string actual = GetParam().value.dump(2) + "\n";
  if (std::getenv("HOLDFAST_REWRITE_TRANSCRIPTS") != nullptr) {
    std::ofstream(path) << actual;
    return;
  }
  EXPECT_EQ(read_file(path), actual);
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenObject, testing::ValuesIn(goldens()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

/// What the restricted Pod Security profile asks of a Pod, as far as ours could break it.
void expect_restricted(const json& pod) {
  const json& spec = pod.at("spec");
  const json& security = spec.at("securityContext");
  EXPECT_EQ(security.at("runAsNonRoot"), true);
  EXPECT_NE(security.at("runAsUser"), 0);
  EXPECT_EQ(security.at("seccompProfile").at("type"), "RuntimeDefault");
  for (const char* shared : {"hostNetwork", "hostPID", "hostIPC"}) {
    EXPECT_FALSE(spec.contains(shared)) << shared;
  }
  for (const json& container : spec.at("containers")) {
    const json& own = container.at("securityContext");
    EXPECT_EQ(own.at("allowPrivilegeEscalation"), false);
    EXPECT_EQ(own.at("capabilities"), json({{"drop", {"ALL"}}}));
    EXPECT_EQ(own.at("readOnlyRootFilesystem"), true);  // more than the profile asks
    for (const json& port : container.at("ports")) EXPECT_FALSE(port.contains("hostPort"));
  }
  for (const json& volume : spec.at("volumes")) {
    const bool allowed = volume.contains("persistentVolumeClaim") || volume.contains("secret") ||
                         volume.contains("configMap");
    EXPECT_TRUE(allowed) << volume;
  }
}

TEST(Pod, MeetsTheRestrictedProfileWhateverTheSpec) {
  int pods = 0;
  for (const Golden& golden : goldens()) {
    if (!golden.value.is_object() || golden.value.at("kind") != "Pod") continue;
    SCOPED_TRACE(golden.name);
    expect_restricted(golden.value);
    ++pods;
  }
  EXPECT_GE(pods, 8);
}

}  // namespace
}  // namespace holdfast::specs
