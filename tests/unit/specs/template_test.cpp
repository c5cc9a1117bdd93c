#include "operator/specs/template.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>

#include "tests/unit/specs/specs_fixture.h"

namespace holdfast::specs {
namespace {

/// These may never change: every running member of every cluster would be restarted.
TEST(TemplateHash, OfKnownInputsIsPinned) {
  EXPECT_EQ(template_hash(template_of(small_cluster())), "1-81d9173b68d9f4f1");
  EXPECT_EQ(template_hash(template_of(full_cluster())), "1-5111091c358d557a");
  EXPECT_EQ(template_hash(template_of(small_cluster(), {api::TlsMode::kOff, api::TlsMode::kOff})),
            "1-6f7c571f0fe34db8");
}

using Edit = std::function<void(api::ClusterSpec&)>;

TEST(TemplateHash, ChangesWithWhatARunningPodCannotChange) {
  const Edit edits[] = {
      [](auto& spec) { spec.version = "0.1.1"; },
      [](auto& spec) { spec.image = "elsewhere/holdfast:1"; },
      [](auto& spec) { spec.storage.size.bytes *= 2; },
      [](auto& spec) { spec.options.quota_bytes = 1 << 30; },
      [](auto& spec) { spec.options.compaction.retention = "2h"; },
      [](auto& spec) { spec.options.compaction.mode = api::CompactionMode::kOff; },
      [](auto& spec) { spec.options.snapshot_count = 1; },
      [](auto& spec) { spec.options.heartbeat_milliseconds = 50; },
      [](auto& spec) { spec.options.election_milliseconds = 2000; },
      [](auto& spec) { spec.options.max_request_bytes = 1; },
      [](auto& spec) { spec.pod_template.resources = {{"limits", {{"cpu", "1"}}}}; },
      [](auto& spec) { spec.pod_template.affinity = {{"nodeAffinity", {{"a", 1}}}}; },
      [](auto& spec) { spec.pod_template.topology_spread_constraints = nlohmann::json::array(); },
      [](auto& spec) { spec.pod_template.node_selector = {{"a", "b"}}; },
      [](auto& spec) { spec.pod_template.tolerations = nlohmann::json::array({{{"key", "a"}}}); },
      [](auto& spec) { spec.pod_template.priority_class_name = "high"; },
  };
  std::set<std::string> hashes = {template_hash(template_of(small_cluster()))};
  for (const Edit& edit : edits) {
    api::HoldfastCluster cluster = small_cluster();
    edit(cluster.spec);
    hashes.insert(template_hash(template_of(cluster)));
  }
  for (const TlsModes tls : {TlsModes{api::TlsMode::kMixed, api::TlsMode::kOn},
                             TlsModes{api::TlsMode::kOn, api::TlsMode::kMixed}}) {
    hashes.insert(template_hash(template_of(small_cluster(), tls)));
  }
  MemberTemplate sealed = template_of(small_cluster());
  sealed.keys_secret = "db-keys";
  hashes.insert(template_hash(sealed));
  EXPECT_EQ(hashes.size(), 1 + std::size(edits) + 2 + 1);
}

TEST(TemplateHash, StaysForWhatIsChangedWithoutARestart) {
  const Edit edits[] = {
      [](auto& spec) { spec.replicas = 5; },
      [](auto& spec) { spec.pod_template.labels = {{"a", "b"}}; },
      [](auto& spec) { spec.pod_template.annotations = {{"a", "b"}}; },
      [](auto& spec) { spec.image_pull_secrets = {{"registry"}}; },
      [](auto& spec) { spec.storage.retention = api::VolumeRetention::kDelete; },
      [](auto& spec) { spec.storage.storage_class_name = "fast"; },
      [](auto& spec) { spec.tls.client.extra_sans = {"db.example.com"}; },
      [](auto& spec) { spec.tls.peer.renew_before = absl::Hours(1); },
      [](auto& spec) { spec.service.type = api::ServiceType::kNodePort; },
      [](auto& spec) { spec.network_policy.enabled = true; },
      [](auto& spec) { spec.monitoring.service_monitor = true; },
      [](auto& spec) { spec.paused = true; },
      [](auto& spec) { spec.fenced_members = {"db-1"}; },
      [](auto& spec) { spec.version = kDefaults.version; },
  };
  const std::string hash = template_hash(template_of(small_cluster()));
  for (std::size_t i = 0; i < std::size(edits); ++i) {
    api::HoldfastCluster cluster = small_cluster();
    edits[i](cluster.spec);
    EXPECT_EQ(template_hash(template_of(cluster)), hash) << "edit " << i;
  }
}

TEST(Quota, FollowsTheSmallestVolume) {
  const std::int64_t half = api::kGibibyte / 2;
  EXPECT_EQ(quota_for_volume(10 * api::kGibibyte), 19 * half / 2);
  EXPECT_EQ(quota_for_volume(api::kGibibyte), 448 * api::kMebibyte);
  EXPECT_EQ(quota_for_volume(1), api::kMebibyte);
  const api::HoldfastCluster cluster = small_cluster();
  const auto quota = [&](std::int64_t volume) {
    return resolve_template(cluster, kDefaults, {}, volume).quota_bytes;
  };
  EXPECT_EQ(quota(api::kGibibyte), 448 * api::kMebibyte);
  EXPECT_EQ(quota(0), 19 * half / 2);
  // A driver that rounds up changes nothing.
  EXPECT_EQ(quota(11 * api::kGibibyte), 19 * half / 2);
}

}  // namespace
}  // namespace holdfast::specs
