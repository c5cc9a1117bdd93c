#include "operator/observe/auth.h"

#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "operator/observe/assemble.h"

namespace holdfast::observe {
namespace {

using kube::Json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using State = reconcile::AuthObserved::State;

class AuthTest : public testing::Test {
 protected:
  AuthTest() {
    auto& cluster = snapshot_.cluster;
    cluster.metadata.name = "db";
    cluster.metadata.ns = "apps";
    cluster.spec.auth.enabled = true;
  }

  static kube::Object secret(const std::string& name, const Json& data) {
    Json encoded = Json::object();
    for (const auto& [key, value] : data.items()) {
      encoded[key] = absl::Base64Escape(value.get<std::string>());
    }
    return std::make_shared<const Json>(
        Json{{"kind", "Secret"}, {"metadata", {{"name", name}}}, {"data", encoded}});
  }
  void stand(const std::string& name, const Json& data) {
    snapshot_.standing[{"Secret", name}] = secret(name, data);
  }
  RootPasswords passwords() { return read_root_passwords(snapshot_, users_); }
  reconcile::AuthObserved look() {
    return assemble_auth(snapshot_, observed_, passwords(), {{0, probe_}}, session_);
  }

  Snapshot snapshot_;
  std::map<std::string, kube::Object> users_;
  reconcile::Observed observed_;
  member::Probe probe_;
  member::Session session_;
};

TEST_F(AuthTest, WhatIsKeptIsTriedBeforeWhatIsWanted) {
  stand("db-auth", {{"username", "root"}, {"password", "old"}, {"next", "new"}});
  stand("db-root", {{"username", "root"}, {"password", "newest"}});
  EXPECT_THAT(passwords().to_offer(),
              ElementsAre(member::Credentials{"root", "old"}, member::Credentials{"root", "new"},
                          member::Credentials{"root", "newest"}));
}

TEST_F(AuthTest, NothingIsOfferedThatWasNotDeclared) {
  users_["db-root"] = secret("db-root", {{"password", "x"}});
  snapshot_.cluster.spec.auth.enabled = false;
  EXPECT_EQ(secret_to_look_up(snapshot_), "");
  EXPECT_THAT(passwords().to_offer(), IsEmpty());
  stand("db-auth", {{"password", "kept"}});
  EXPECT_EQ(secret_to_look_up(snapshot_), "db-root") << "it has to be disabled yet";
}

TEST_F(AuthTest, ASecretThatCannotBeMeantIsSaid) {
  snapshot_.cluster.spec.auth.root_secret_ref.name = "mine";
  EXPECT_EQ(secret_to_look_up(snapshot_), "mine");
  EXPECT_FALSE(passwords().secret_exists);
  const auto problem = [this](const Json& data) {
    users_["mine"] = secret("mine", data);
    return passwords().secret_problem;
  };
  EXPECT_THAT(problem({{"username", "admin"}, {"password", "x"}}), HasSubstr("root"));
  EXPECT_THAT(problem({{"username", "root"}}), HasSubstr("key password"));
  EXPECT_THAT(problem({{"password", "x\n"}}), HasSubstr("line break"));
  EXPECT_THAT(problem({{"password", std::string(73, 'x')}}), HasSubstr("72 bytes"));
  EXPECT_EQ(passwords().wanted, std::nullopt);
  EXPECT_EQ(problem({{"password", "x"}}), "");
  EXPECT_EQ(passwords().wanted, "x");
}

TEST_F(AuthTest, EqualPasswordsAreEqualNumbersAndNothingElseIsTold) {
  stand("db-auth", {{"password", "one"}, {"next", "two"}});
  stand("db-root", {{"password", "two"}});
  probe_.auth_enabled = true;
  session_.offer(passwords().to_offer());
  session_.accepted({"root", "two"}, "token", member::Session::Clock::now());
  const auto seen = look();
  EXPECT_NE(seen.current, seen.next);
  EXPECT_EQ(seen.next, seen.wanted_password);
  EXPECT_EQ(seen.taken, seen.next);
  EXPECT_EQ(seen.state, State::kOn);
  EXPECT_FALSE(seen.refused);
}

TEST_F(AuthTest, AnAdministratorOfAJoinedClusterIsNotRoot) {
  snapshot_.cluster.spec.bootstrap.join.emplace().credentials_secret_ref.name = "theirs";
  users_["theirs"] = secret("theirs", {{"username", "admin"}, {"password", "x"}});
  session_.offer(passwords().to_offer());
  session_.accepted({"admin", "x"}, "token", member::Session::Clock::now());
  probe_.auth_enabled = true;
  EXPECT_TRUE(look().other_taken);
  EXPECT_EQ(look().taken, std::nullopt);
}

TEST_F(AuthTest, MembersThatDoNotAnswerSayNothing) {
  EXPECT_EQ(look().state, State::kUnknown);
  probe_.linearizable_read = absl::OkStatus();
  EXPECT_EQ(look().state, State::kOff);
}

TEST_F(AuthTest, OneMemberThatLetsUsInIsEnough) {
  snapshot_.cluster.status.cluster_id = ClusterId(7);
  const auto is_shut_out = [this](bool second_serves) {
    member::Probe second;
    if (second_serves) second.linearizable_read = absl::OkStatus();
    probe_.shut_out = true;
    return assemble(snapshot_, {}, {{0, probe_}, {1, second}}, {}, absl::UnixEpoch()).shut_out;
  };
  EXPECT_TRUE(is_shut_out(false));
  EXPECT_FALSE(is_shut_out(true));
}

}  // namespace
}  // namespace holdfast::observe
