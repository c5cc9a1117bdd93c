#include "operator/observe/wishes.h"

#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "operator/specs/pod.h"

namespace holdfast::observe {
namespace {

using kube::Json;
using ::testing::HasSubstr;

/// Rule 15: which release the members are to run, by what they run and have agreed on.
class Versions : public testing::Test {
 protected:
  Versions() {
    snapshot_.cluster.metadata.name = "db";
    snapshot_.cluster.metadata.ns = "apps";
    snapshot_.cluster.metadata.uid = "cluster-uid";
  }

  /// A Pod of this release, as the operator would have made it.
  void runs(const std::string& release) {
    Snapshot made = snapshot_;
    made.cluster.spec.version = release;
    made.cluster.status = {};
    made.pods.clear();
    const int ordinal = static_cast<int>(snapshot_.pods.size());
    Json pod = specs::member_pod(made.cluster, resolve(made, kBrought, now_).member,
                                 {.ordinal = ordinal}, {specs::Start::kJoinExisting, {0}, {}});
    snapshot_.pods.push_back(std::make_shared<const Json>(std::move(pod)));
    api::Target target;
    target.version = release;
    snapshot_.cluster.status.target = target;
  }

  Resolved wish(const std::string& release) {
    snapshot_.cluster.spec.version = release;
    return resolve(snapshot_, kBrought, now_);
  }

  const specs::Defaults kBrought{"holdfast.dev/holdfast", "0.1.0"};
  Snapshot snapshot_;
  absl::Time now_ = absl::FromUnixSeconds(1'795'000'000);
};

TEST_F(Versions, OneMinorUpIsGoneToAtOnce) {
  runs("0.1.0");
  const Resolved resolved = wish("0.2.0");
  EXPECT_EQ(resolved.member.version, "0.2.0");
  EXPECT_EQ(resolved.wishes.version_refusal, "");
  EXPECT_EQ(resolved.wishes.level, std::nullopt) << "upward members agree by themselves";
}

TEST_F(Versions, TwoMinorsUpAreRefusedAndWhatRunsIsKept) {
  runs("0.1.0");
  const Resolved resolved = wish("0.3.0");
  EXPECT_EQ(resolved.member.version, "0.1.0");
  EXPECT_THAT(resolved.wishes.version_refusal, HasSubstr("set spec.version to a 0.2 release"));
}

TEST_F(Versions, InTheMiddleOfAnUpgradeTheOldestCountsToo) {
  runs("0.1.0");
  runs("0.2.0");
  EXPECT_THAT(wish("0.3.0").wishes.version_refusal, HasSubstr("0.2 release first"));
  EXPECT_EQ(wish("0.1.0").wishes.version_refusal, "");
}

TEST_F(Versions, AWayDownWaitsUntilTheMembersHaveAgreedOnIt) {
  runs("0.2.0");
  snapshot_.cluster.status.etcd_version = "3.8";
  Resolved resolved = wish("0.1.0");
  EXPECT_EQ(resolved.member.version, "0.2.0");
  EXPECT_EQ(resolved.wishes.version_refusal, "");
  EXPECT_EQ(resolved.wishes.level, (api::EtcdLevel{3, 7}));

  snapshot_.cluster.status.etcd_version = "3.7";
  resolved = wish("0.1.0");
  EXPECT_EQ(resolved.member.version, "0.1.0");
  EXPECT_EQ(resolved.wishes.level, (api::EtcdLevel{3, 7}));
}

TEST_F(Versions, AWayDownWaitsWhileNobodyHasSaidWhatWasAgreedOn) {
  runs("0.2.0");
  EXPECT_EQ(wish("0.1.0").member.version, "0.2.0");
}

TEST_F(Versions, WithoutPodsTheDataStillNeedsTheReleaseItHad) {
  runs("0.2.0");
  snapshot_.pods.clear();
  snapshot_.cluster.status.etcd_version = "3.8";
  EXPECT_EQ(wish("0.1.0").member.version, "0.2.0");
}

TEST_F(Versions, AWayDownToAReleaseThatIsNotKnownIsRefused) {
  runs("0.9.0");
  snapshot_.cluster.status.etcd_version = "3.9";
  EXPECT_THAT(wish("0.8.0").wishes.version_refusal, HasSubstr("upgrade the operator"));
}

TEST_F(Versions, AWayDownOfTwoEtcdVersionsIsRefused) {
  runs("0.2.0");
  snapshot_.cluster.status.etcd_version = "3.9";
  EXPECT_THAT(wish("0.1.0").wishes.version_refusal, HasSubstr("more than one step above"));
}

TEST_F(Versions, AClusterThatNamesNoneKeepsItsReleaseWhateverTheOperatorBrings) {
  runs("0.1.0");
  snapshot_.cluster.spec.version.clear();
  EXPECT_EQ(resolve(snapshot_, {"holdfast.dev/holdfast", "0.2.0"}, now_).member.version, "0.1.0");
}

}  // namespace
}  // namespace holdfast::observe
