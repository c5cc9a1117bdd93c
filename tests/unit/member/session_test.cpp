#include "operator/member/session.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "operator/member/client.h"
#include "tests/unit/member/eventually.h"
#include "tests/unit/member/real_members.h"

namespace holdfast::member {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Credentials kOld{"root", "old"};
const Credentials kNew{"root", "new"};

TEST(Session, WhatWasTakenLastIsTriedFirst) {
  const auto now = Session::Clock::now();
  Session session;
  EXPECT_EQ(session.enter(now)->token, "") << "nothing is offered: we are nobody";
  session.offer({kOld, kNew});
  EXPECT_THAT(session.enter(now)->attempts, ElementsAre(kOld, kNew));
  session.accepted(kNew, "token", now);
  EXPECT_EQ(session.enter(now)->token, "token");
  const auto later = session.enter(now + Session::kTokenLife);
  EXPECT_THAT(later->attempts, ElementsAre(kNew, kOld));
  EXPECT_EQ(later->spare, "token") << "it may still be good";
}

TEST(Session, ATokenStaysWhileItsCredentialsAreOffered) {
  const auto now = Session::Clock::now();
  Session session;
  session.offer({kOld});
  session.accepted(kOld, "token", now);
  session.offer({kOld, kNew});
  EXPECT_EQ(session.enter(now)->token, "token");
  session.offer({kNew});
  EXPECT_EQ(session.taken(), std::nullopt);
  EXPECT_THAT(session.enter(now)->attempts, ElementsAre(kNew));
}

TEST(Session, ARefusalIsBelievedForAWhileOrUntilSomethingElseIsOffered) {
  const auto now = Session::Clock::now();
  Session session;
  session.offer({kOld});
  session.refused(absl::InvalidArgumentError("wrong"), now);
  EXPECT_EQ(session.enter(now).status().message(), "wrong");
  session.drop("");
  EXPECT_FALSE(session.enter(now).ok()) << "a member that wants a token is no news";
  EXPECT_TRUE(session.enter(now + Session::kBelieved).ok());
  session.offer({kNew});
  EXPECT_THAT(session.enter(now)->attempts, ElementsAre(kNew));
}

TEST(Session, OnlyTheTokenThatWasRefusedIsDropped) {
  const auto now = Session::Clock::now();
  Session session;
  session.offer({kOld});
  session.accepted(kOld, "second", now);
  session.drop("first");
  EXPECT_EQ(session.enter(now)->token, "second");
  session.drop("second");
  EXPECT_EQ(session.enter(now)->token, std::nullopt);
}

// -- with members

struct Lone {
  explicit Lone(const std::optional<RealTls>& tls = std::nullopt) : member("m0", tls) {
    member.start(member.named_peer_url(), false);
    const Client nobody = member.client();
    eventually("it serves", [&] { return nobody.member_list(true).status(); });
  }
  Client client() {
    Endpoint endpoint = member.endpoint();
    endpoint.session = session;
    return Client(endpoint);
  }
  RealMember member;
  std::shared_ptr<Session> session = std::make_shared<Session>();
};

TEST(Users, AuthIsEnabledUsedAndDisabled) {
  Lone lone;
  const Client client = lone.client();
  lone.session->offer({kOld});
  EXPECT_FALSE(client.probe().auth_enabled);
  EXPECT_EQ(lone.session->auth(), Session::Auth::kOff);
  for (int repeated = 0; repeated < 2; ++repeated) {
    ASSERT_EQ(client.prepare_root("old"), absl::OkStatus());
  }
  for (int repeated = 0; repeated < 2; ++repeated) {
    ASSERT_EQ(client.enable_auth(), absl::OkStatus());
    lone.session->forget();
  }

  const Client nobody = lone.member.client();
  EXPECT_THAT(std::string(nobody.put("k", "v").message()), HasSubstr("user name is empty"));
  EXPECT_TRUE(nobody.probe().auth_enabled);

  const Probe probe = client.probe();
  EXPECT_TRUE(probe.auth_enabled);
  EXPECT_TRUE(probe.linearizable_read.ok()) << probe.linearizable_read;
  EXPECT_TRUE(probe.confirmed_member_list.ok());
  EXPECT_EQ(lone.session->taken(), kOld);
  EXPECT_EQ(client.put("k", "v"), absl::OkStatus());
  EXPECT_TRUE(client.hash_kv(0).ok());
  EXPECT_TRUE(client.defragment().ok());
  EXPECT_TRUE(client.snapshot([](const SnapshotPiece&) { return absl::OkStatus(); }).ok());

  ASSERT_EQ(client.disable_auth(), absl::OkStatus());
  ASSERT_EQ(client.disable_auth(), absl::OkStatus());
  EXPECT_EQ(nobody.put("k", "w"), absl::OkStatus());
}

TEST(Users, ACallWhoseTokenHasEndedIsMadeAgainWithAnother) {
  Lone lone;
  const Client client = lone.client();
  lone.session->offer({kOld, kNew});
  ASSERT_TRUE(client.prepare_root("old").ok());
  ASSERT_TRUE(client.enable_auth().ok());
  ASSERT_EQ(client.put("k", "1"), absl::OkStatus());
  ASSERT_EQ(client.change_root_password("new"), absl::OkStatus());
  // Root's tokens have ended with its password, and nobody told the session.
  EXPECT_EQ(client.put("k", "2"), absl::OkStatus());
  EXPECT_EQ(lone.session->taken(), kNew);
  ASSERT_EQ(client.change_root_password("old"), absl::OkStatus());
  const Probe probe = client.probe();
  EXPECT_TRUE(probe.linearizable_read.ok()) << probe.linearizable_read;
  EXPECT_EQ(lone.session->taken(), kOld);
}

TEST(Users, WrongCredentialsAreAnAnswerAndNotAnAbsence) {
  Lone lone;
  const Client admin = lone.client();
  lone.session->offer({kOld});
  ASSERT_TRUE(admin.prepare_root("old").ok());
  ASSERT_TRUE(admin.enable_auth().ok());

  Endpoint endpoint = lone.member.endpoint();
  endpoint.session = std::make_shared<Session>();
  endpoint.session->offer({kNew});
  const Client wrong(endpoint);
  for (int repeated = 0; repeated < 2; ++repeated) {
    const Probe probe = wrong.probe();
    EXPECT_TRUE(probe.refuses_us()) << probe.signed_in;
    EXPECT_TRUE(probe.auth_enabled);
    EXPECT_EQ(probe.name, "m0");
  }
  EXPECT_FALSE(wrong.put("k", "v").ok());
  EXPECT_EQ(endpoint.session->taken(), std::nullopt);
}

}  // namespace
}  // namespace holdfast::member
