#include "operator/member/client.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "operator/member/fleet.h"
#include "tests/unit/member/eventually.h"
#include "tests/unit/member/real_members.h"

namespace holdfast::member {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;

void wait_until_it_serves(const Client& client) {
  eventually("the member serves", [&] { return client.member_list(true).status(); });
}

std::unique_ptr<RealMember> lone_member(const std::optional<RealTls>& tls = std::nullopt) {
  auto member = std::make_unique<RealMember>("m0", tls);
  member->start(member->named_peer_url(), false);
  return member;
}

Timeouts short_timeouts() {
  return {milliseconds(300), milliseconds(300), milliseconds(300)};
}

TEST(Client, AProbeTellsEverythingOfALoneMember) {
  const auto member = lone_member();
  const Client client = member->client();
  wait_until_it_serves(client);

  const Probe probe = client.probe({.metrics_page = true});
  ASSERT_TRUE(probe.status.ok()) << probe.status.status();
  EXPECT_NE(probe.status->header.cluster_id, 0U);
  EXPECT_NE(probe.status->header.member_id, 0U);
  EXPECT_EQ(probe.status->leader_id, probe.status->header.member_id);
  EXPECT_GT(probe.status->raft_index, 0U);
  EXPECT_GT(probe.status->header.term, 0U);
  EXPECT_GT(probe.status->db_size_bytes, 0);
  EXPECT_GT(probe.status->db_quota_bytes, 0);
  EXPECT_FALSE(probe.status->is_learner);
  EXPECT_THAT(probe.status->version, StartsWith("3."));
  EXPECT_TRUE(probe.linearizable_read.ok()) << probe.linearizable_read;
  EXPECT_TRUE(probe.serializable_read.ok()) << probe.serializable_read;
  ASSERT_TRUE(probe.alarms.ok()) << probe.alarms.status();
  EXPECT_TRUE(probe.alarms->empty());
  ASSERT_TRUE(probe.confirmed_member_list.ok());
  EXPECT_TRUE(probe.confirmed_member_list->linearizable);
  ASSERT_EQ(probe.confirmed_member_list->members.size(), 1U);
  EXPECT_EQ(probe.confirmed_member_list->members[0].name, "m0");
  EXPECT_THAT(probe.confirmed_member_list->members[0].peer_urls,
              testing::ElementsAre(member->peer_url()));
  ASSERT_TRUE(probe.page.ok()) << probe.page.status();
  EXPECT_FALSE(probe.page->release.empty());
  EXPECT_TRUE(probe.page->trusted_bundle_sha256.empty());
}

TEST(Client, KeysCompactionHashAndDefragment) {
  const auto member = lone_member();
  const Client client = member->client();
  wait_until_it_serves(client);

  EXPECT_EQ(client.get("canary").status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(client.put("canary", "1").ok());
  ASSERT_TRUE(client.put("canary", "2").ok());
  const auto read = client.get("canary");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->value, "2");
  EXPECT_TRUE(client.compact(read->mod_revision).ok());
  const absl::Status again = client.compact(read->mod_revision);
  EXPECT_EQ(outcome_of(again), Outcome::kRejected) << again;
  EXPECT_THAT(std::string(again.message()), StartsWith("etcdserver: mvcc:"));
  const auto hash = client.hash_kv(0);
  ASSERT_TRUE(hash.ok()) << hash.status();
  EXPECT_EQ(hash->hash_revision, read->mod_revision);
  EXPECT_TRUE(client.defragment().ok());
  EXPECT_TRUE(client.disarm_alarm({hash->header.member_id, AlarmType::kNoSpace}).ok());
  const absl::Status refused = client.downgrade(DowngradeAction::kValidate, "3.2").status();
  EXPECT_EQ(outcome_of(refused), Outcome::kRejected) << refused;
}

TEST(Client, AMemberJoinsAsALearnerIsPromotedLeadsAndLeaves) {
  const auto first = lone_member();
  const Client one = first->client();
  wait_until_it_serves(one);

  RealMember second("m1", std::nullopt);
  const auto learner = one.add_learner({second.peer_url()});
  ASSERT_TRUE(learner.ok()) << learner.status();
  EXPECT_TRUE(learner->is_learner);
  const absl::Status twice = one.add_learner({second.peer_url()}).status();
  EXPECT_EQ(outcome_of(twice), Outcome::kRejected) << twice;
  EXPECT_THAT(std::string(twice.message()), StartsWith("etcdserver:"));
  const absl::Status early = one.promote(learner->id);
  EXPECT_EQ(outcome_of(early), Outcome::kRetry) << early;

  second.start(absl::StrCat(first->named_peer_url(), ",", second.named_peer_url()), true);
  const Client two = second.client();
  eventually("the learner serves what it has", [&] { return two.probe().serializable_read; });
  eventually("the learner refuses linearizable reads", [&] {
    return outcome_of(two.probe().linearizable_read) == Outcome::kRejected
               ? absl::OkStatus()
               : absl::UnavailableError("not yet");
  });
  eventually("the learner is promoted", [&] { return one.promote(learner->id); });

  const auto before = one.status();
  ASSERT_TRUE(before.ok());
  eventually("the leader moves", [&] { return one.move_leader(learner->id); });
  eventually("the new leader leads", [&]() -> absl::Status {
    const auto status = two.status();
    if (!status.ok()) return status.status();
    return status->leader_id == learner->id ? absl::OkStatus() : absl::UnavailableError("not yet");
  });
  const absl::Status by_follower = one.move_leader(before->header.member_id);
  EXPECT_EQ(outcome_of(by_follower), Outcome::kRetry) << by_follower;

  eventually("the first leaves", [&] { return two.remove(before->header.member_id); });
  const absl::Status gone = two.remove(before->header.member_id);
  EXPECT_EQ(gone.code(), absl::StatusCode::kNotFound) << gone;
  const auto left = two.member_list(true);
  ASSERT_TRUE(left.ok());
  ASSERT_EQ(left->members.size(), 1U);
  EXPECT_EQ(left->members[0].id, learner->id);
}

TEST(Client, WhereNobodyListensNothingWasSent) {
  Endpoint nobody{.name = "gone", .address = "127.0.0.1", .port = free_port()};
  const Client client(nobody, short_timeouts());
  const absl::Status status = client.remove(1);
  EXPECT_EQ(outcome_of(status), Outcome::kRetry) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("member gone at 127.0.0.1"));
  EXPECT_FALSE(client.probe().answers());
}

TEST(Client, AChangeThatIsNotAnsweredHasAnUnknownOutcome) {
  const auto member = lone_member();
  const Client client = member->client(short_timeouts());
  wait_until_it_serves(client);
  member->freeze();
  const absl::Status status = client.add_learner({"http://127.0.0.1:1"}).status();
  EXPECT_EQ(outcome_of(status), Outcome::kUnknown) << status;
  EXPECT_EQ(outcome_of(client.status().status()), Outcome::kRetry);
}

TEST(Fleet, AFrozenMemberDoesNotKeepTheOthersFromAnswering) {
  const auto frozen = lone_member();
  const auto alive = lone_member();
  const Client first = frozen->client(short_timeouts());
  const Client second = alive->client();
  wait_until_it_serves(first);
  wait_until_it_serves(second);
  frozen->freeze();

  const std::vector<Probe> probes = probe_all({&first, &second}, {.metrics_page = true});
  EXPECT_FALSE(probes[0].answers());
  EXPECT_FALSE(probes[0].page.ok());
  EXPECT_TRUE(probes[1].answers()) << probes[1].status.status();
  EXPECT_TRUE(probes[1].linearizable_read.ok());

  std::vector<std::string> asked;
  const absl::Status read = at_any({&first, &second}, [&](const Client& client) {
    asked.push_back(client.endpoint().name);
    return client.member_list(true).status();
  });
  EXPECT_TRUE(read.ok()) << read;
  EXPECT_EQ(asked.size(), 2U);
}

class SecuredMember : public testing::Test {
 protected:
  RealTls material() const {
    return {ca_.pem(),
            ca_.issue({.common_name = "member",
                       .alternative_names = {"DNS:member.test", "IP:127.0.0.1"}}),
            ca_.issue({.common_name = "operator"})};
  }
  crypto::TestCa ca_;
};

TEST_F(SecuredMember, IsReachedByAddressUnderItsName) {
  const auto member = lone_member(material());
  const Client client = member->client();
  wait_until_it_serves(client);
  const Probe probe = client.probe({.metrics_page = true});
  EXPECT_TRUE(probe.linearizable_read.ok()) << probe.linearizable_read;
  ASSERT_TRUE(probe.page.ok()) << probe.page.status();
  EXPECT_EQ(probe.page->trusted_bundle_sha256.at("client").size(), 64U);
  EXPECT_TRUE(probe.page->certificate_not_after_seconds.has_value());
}

TEST_F(SecuredMember, IsAskedAgainAfterARest) {
  const auto member = lone_member(material());
  const Client client = member->client();
  wait_until_it_serves(client);
  for (int i = 0; i < 3; ++i) {
    client.rest();
    client.rest();
    EXPECT_TRUE(client.probe().linearizable_read.ok());
    EXPECT_TRUE(client.put("key", "value").ok()) << "a change finds a connection, too";
  }
}

TEST_F(SecuredMember, IsNotBelievedUnderAnotherNameOrCaAndAsksForACertificate) {
  const auto member = lone_member(material());
  wait_until_it_serves(member->client());

  Endpoint other_name = member->endpoint();
  other_name.server_name = "someone-else.test";
  EXPECT_FALSE(Client(other_name).status().ok());

  Endpoint other_ca = member->endpoint();
  other_ca.tls->ca_bundle_pem = crypto::TestCa("another").pem();
  EXPECT_FALSE(Client(other_ca).status().ok());

  Endpoint no_certificate = member->endpoint();
  no_certificate.tls->certificate_pem.clear();
  no_certificate.tls->private_key_pem.clear();
  EXPECT_FALSE(Client(no_certificate).status().ok());

  Endpoint plain = member->endpoint();
  plain.tls.reset();
  EXPECT_FALSE(Client(plain).status().ok());
  EXPECT_TRUE(member->client().status().ok());
}

}  // namespace
}  // namespace holdfast::member
