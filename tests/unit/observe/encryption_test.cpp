#include "operator/observe/encryption.h"

#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "operator/api/names.h"
#include "operator/observe/wishes.h"

namespace holdfast::observe {
namespace {

using kube::Json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string kFirst = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const std::string kSecond = "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8";

reconcile::KeyName named(const std::string& hex) {
  return name_of(crypto::Key256(absl::HexStringToBytes(hex)));
}

class EncryptionTest : public testing::Test {
 protected:
  EncryptionTest() {
    auto& metadata = snapshot_.cluster.metadata;
    metadata.name = "db";
    metadata.ns = "apps";
    metadata.uid = "cluster-uid";
    snapshot_.cluster.spec.encryption_at_rest.emplace();
    memory_.members = {0, 1};
  }

  static kube::Object secret(const std::string& name, const std::string& text,
                             const std::string& owner, const std::string& key = "keys") {
    return std::make_shared<const Json>(Json{
        {"kind", "Secret"},
        {"metadata",
         {{"name", name}, {"annotations", {{std::string(api::annotation::kOwnerUid), owner}}}}},
        {"data", {{key, absl::Base64Escape(text)}}}});
  }
  void stand(const std::string& name, const std::string& text,
             const std::string& owner = "cluster-uid") {
    snapshot_.standing[{"Secret", name}] = secret(name, text, owner);
  }
  void begin(const std::string& key, std::vector<std::string> behind) {
    snapshot_.cluster.status.encryption = {named(key), {named(key)}, std::move(behind)};
    snapshot_.cluster.status.members.resize(2);
    snapshot_.cluster.status.members[0].name = "db-0";
    snapshot_.cluster.status.members[1].name = "db-1";
  }
  reconcile::EncryptionObserved look() {
    return assemble_encryption(snapshot_, {}, memory_, read_encryption_keys(snapshot_, users_),
                               probes_);
  }
  Resolved resolved() { return resolve(snapshot_, {"holdfast", "0.1.0"}, absl::UnixEpoch()); }

  Snapshot snapshot_;
  reconcile::Memory memory_;
  std::map<std::string, kube::Object> users_;
  std::map<int, member::Probe> probes_;
};

TEST_F(EncryptionTest, NoSecretIsReadThatNobodyAskedFor) {
  EXPECT_EQ(key_secret_to_look_up(snapshot_), "db-encryption");
  snapshot_.cluster.spec.encryption_at_rest.reset();
  EXPECT_EQ(key_secret_to_look_up(snapshot_), "");
  EXPECT_EQ(resolved().member.keys_secret, "");
  EXPECT_EQ(resolved().wishes.encryption_refusal, "");
}

TEST_F(EncryptionTest, MembersGetKeysOnceTheyStandInASecretMadeForThisCluster) {
  EXPECT_EQ(keys_standing(snapshot_), KeysStanding::kNone);
  EXPECT_THAT(resolved().wishes.encryption_refusal, HasSubstr("EncryptionReady"));
  stand("db-keys", kFirst, "an-earlier-cluster");
  EXPECT_EQ(keys_standing(snapshot_), KeysStanding::kNone);
  EXPECT_THAT(look().given_keys, ElementsAre(named(kFirst))) << "volumes of then may need them";
  stand("db-keys", kFirst);
  EXPECT_EQ(resolved().member.keys_secret, "db-keys");
  EXPECT_EQ(resolved().wishes.encryption_refusal, "");
}

TEST_F(EncryptionTest, KeysThatWereGivenOnceAreMissedWhenTheyAreGone) {
  begin(kFirst, {});
  EXPECT_EQ(keys_standing(snapshot_), KeysStanding::kMissing);
  EXPECT_EQ(resolved().member.keys_secret, "db-keys") << "no Pod is made without";
  EXPECT_THAT(resolved().wishes.keys_missing, HasSubstr("EncryptionReady"));
  snapshot_.cluster.spec.encryption_at_rest.reset();
  stand("db-keys", kFirst);
  EXPECT_EQ(keys_standing(snapshot_), KeysStanding::kThere) << "there is no way back";
}

TEST_F(EncryptionTest, ASecretThatCannotBeMeantIsSaidAndNoKeyIsTold) {
  snapshot_.cluster.spec.encryption_at_rest->secret_ref.name = "mine";
  snapshot_.cluster.spec.encryption_at_rest->secret_key = "first";
  EXPECT_FALSE(look().secret_exists);
  const auto problem = [this](const std::string& text) {
    users_["mine"] = secret("mine", text, "", "first");
    return look().secret_problem;
  };
  EXPECT_THAT(problem(""), HasSubstr("Secret mine, key first holds no key"));
  EXPECT_THAT(problem(kFirst + "\n" + kSecond + "0"), HasSubstr("line 2"));
  EXPECT_THAT(problem(kSecond + "0"), Not(HasSubstr(kSecond)));
  EXPECT_THAT(problem("short"), HasSubstr("openssl rand -hex 32"));
  EXPECT_EQ(problem(kSecond + "\n" + kFirst), "");
  EXPECT_THAT(look().wanted_keys, ElementsAre(named(kSecond), named(kFirst)));
}

TEST_F(EncryptionTest, APageTellsWhichKeyAMemberUsesAndStatusRemembersIt) {
  EXPECT_EQ(look().members, (std::vector<reconcile::SealedMember>{{0, ""}, {1, ""}}));
  begin(kFirst, {"db-1"});
  EXPECT_EQ(look().members, (std::vector<reconcile::SealedMember>{{0, named(kFirst)}, {1, ""}}));
  probes_[0].page = member::MetricsPage{};
  probes_[1].page = member::MetricsPage{.wrapping_key = named(kSecond)};
  EXPECT_EQ(look().members, (std::vector<reconcile::SealedMember>{{0, ""}, {1, named(kSecond)}}));
  memory_.members = {0, 7};
  probes_.clear();
  EXPECT_EQ(look().members[1], (reconcile::SealedMember{7, ""})) << "it has just come";
}

TEST_F(EncryptionTest, APodIsSealedByItsFlag) {
  const auto pod = [](const Json& args) {
    return Json{{"spec", {{"containers", Json::array({{{"args", args}}})}}}};
  };
  EXPECT_TRUE(is_sealed(pod({"--name=x", "--encryption-key-file=/keys"})));
  EXPECT_FALSE(is_sealed(pod({"--name=x"})));
  EXPECT_FALSE(is_sealed(Json()));
}

}  // namespace
}  // namespace holdfast::observe
