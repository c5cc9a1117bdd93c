#include "operator/pki/issue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "operator/pki/trust.h"

namespace holdfast::pki {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr Time kNow{seconds(1'800'000'000)};

Identity new_ca(const std::string& name = "demo peer CA") {
  return *create_ca({name, "default/demo"}, kNow);
}

LeafRequest member_request() {
  LeafRequest request;
  request.common_name = "demo-0";
  request.names = {"demo-0.demo-peers.default.svc", "*.demo-peers.default.svc.cluster.local",
                   "127.0.0.1", "::1"};
  request.for_servers = true;
  request.duration = hours(24 * 90);
  return request;
}

TEST(CreateCa, MaySignAndSaysWhose) {
  const Certificate ca = *read_leaf(new_ca().certificate_pem, "it");
  EXPECT_TRUE(ca.is_ca);
  EXPECT_FALSE(ca.for_servers);
  EXPECT_FALSE(ca.for_clients);
  EXPECT_THAT(ca.subject, HasSubstr("CN=demo peer CA"));
  EXPECT_THAT(ca.subject, HasSubstr("O=default/demo"));
  EXPECT_EQ(ca.subject, ca.issuer);
  EXPECT_EQ(ca.key_id, ca.issuer_key_id);
  EXPECT_EQ(ca.key_id.size(), 40U);
  EXPECT_EQ(ca.not_before, kNow - kClockSkew);
  EXPECT_EQ(ca.not_after, kNow + kCaDuration);
}

TEST(CreateCa, NoTwoShareASubjectOrASerial) {
  std::set<std::string> subjects;
  std::set<std::string> serials;
  for (int i = 0; i < 20; ++i) {
    const Certificate ca = *read_leaf(new_ca().certificate_pem, "it");
    subjects.insert(ca.subject);
    serials.insert(ca.serial);
    EXPECT_EQ(ca.serial.size(), 32U);  // 128 bits
  }
  EXPECT_EQ(subjects.size(), 20U);
  EXPECT_EQ(serials.size(), 20U);
}

TEST(CreateCa, CutsANameThatX520DoesNotHold) {
  const std::string name = std::string(63, 'n') + "\u00e9 CA";
  const auto ca = create_ca({name, std::string(300, 'o')}, kNow);
  ASSERT_TRUE(ca.ok()) << ca.status();
  EXPECT_THAT(read_leaf(ca->certificate_pem, "it")->subject,
              HasSubstr("CN=" + std::string(63, 'n') + ","));
}

TEST(IssueLeaf, CarriesNamesUsagesAndTheIssuersKeyId) {
  const Identity ca = new_ca();
  const auto leaf = issue_leaf(ca, member_request(), kNow);
  ASSERT_TRUE(leaf.ok()) << leaf.status();
  const Certificate read = *read_leaf(leaf->certificate_pem, "it");
  EXPECT_FALSE(read.is_ca);
  EXPECT_TRUE(read.for_servers);
  EXPECT_TRUE(read.for_clients);
  EXPECT_EQ(read.subject, "CN=demo-0");
  EXPECT_THAT(read.dns_names, ElementsAre("*.demo-peers.default.svc.cluster.local",
                                          "demo-0.demo-peers.default.svc"));
  EXPECT_THAT(read.ip_addresses, ElementsAre("127.0.0.1", "::1"));
  EXPECT_EQ(read.names(), *canonical_names(member_request().names));
  EXPECT_EQ(read.issuer_key_id, read_leaf(ca.certificate_pem, "it")->key_id);
  EXPECT_EQ(read.not_before, kNow - kClockSkew);
  EXPECT_EQ(read.not_after, kNow + hours(24 * 90));
  EXPECT_TRUE(check_key(leaf->certificate_pem, leaf->key_pem, "it").ok());
}

TEST(IssueLeaf, AClientsIsNoServers) {
  const Identity ca = new_ca();
  LeafRequest request;
  request.common_name = "application";
  request.duration = hours(1);
  const auto leaf = issue_leaf(ca, request, kNow);
  ASSERT_TRUE(leaf.ok()) << leaf.status();
  const Certificate read = *read_leaf(leaf->certificate_pem, "it");
  EXPECT_TRUE(read.for_clients);
  EXPECT_FALSE(read.for_servers);
  EXPECT_TRUE(read.names().empty());
}

TEST(IssueLeaf, NeverOutlivesItsCa) {
  const auto ca = create_ca({"short", "", hours(2)}, kNow);
  const auto leaf = issue_leaf(*ca, member_request(), kNow);
  ASSERT_TRUE(leaf.ok()) << leaf.status();
  EXPECT_EQ(read_leaf(leaf->certificate_pem, "it")->not_after, kNow + hours(2));
}

TEST(IssueLeaf, RefusesACaThatMayNotSign) {
  const Identity ca = new_ca();
  const Identity leaf = *issue_leaf(ca, member_request(), kNow);
  EXPECT_EQ(issue_leaf(leaf, member_request(), kNow).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(issue_leaf(ca, member_request(), kNow + kCaDuration).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(issue_leaf(ca, member_request(), kNow - hours(1)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  const Identity mixed{ca.certificate_pem, new_ca().key_pem};
  EXPECT_EQ(issue_leaf(mixed, member_request(), kNow).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(issue_leaf({"", ""}, member_request(), kNow).ok());
}

TEST(IssueLeaf, RefusesRequestsThatNoCertificateCanSay) {
  const Identity ca = new_ca();
  LeafRequest request = member_request();
  request.names = {"a,DNS:evil"};
  EXPECT_FALSE(issue_leaf(ca, request, kNow).ok());
  request = member_request();
  request.duration = seconds(0);
  EXPECT_FALSE(issue_leaf(ca, request, kNow).ok());
  request.duration = std::chrono::duration_cast<seconds>(hours(24 * 366 * 2000));
  EXPECT_FALSE(issue_leaf(ca, request, kNow).ok());
  request = member_request();
  request.for_servers = request.for_clients = false;
  EXPECT_FALSE(issue_leaf(ca, request, kNow).ok());
}

TEST(Verify, AcceptsALeafOfATrustedCaForItsPurposes) {
  const Identity ca = new_ca();
  const Identity leaf = *issue_leaf(ca, member_request(), kNow);
  for (const Purpose purpose : {Purpose::kServer, Purpose::kClient}) {
    EXPECT_TRUE(verify(leaf.certificate_pem, ca.certificate_pem, purpose, kNow).ok());
  }
  LeafRequest client;
  client.common_name = "application";
  client.duration = hours(1);
  const Identity application = *issue_leaf(ca, client, kNow);
  EXPECT_TRUE(verify(application.certificate_pem, ca.certificate_pem, Purpose::kClient, kNow).ok());
  EXPECT_FALSE(
      verify(application.certificate_pem, ca.certificate_pem, Purpose::kServer, kNow).ok());
}

TEST(Verify, RefusesALeafOfAnotherCaOfTheSameName) {
  const Identity ca = new_ca();
  const Identity other = new_ca();
  const Identity leaf = *issue_leaf(ca, member_request(), kNow);
  EXPECT_EQ(verify(leaf.certificate_pem, other.certificate_pem, Purpose::kServer, kNow).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(verify(leaf.certificate_pem, other.certificate_pem + ca.certificate_pem,
                     Purpose::kServer, kNow)
                  .ok());
}

TEST(Verify, LooksAtTheMomentThatItIsGiven) {
  const Identity ca = new_ca();
  const Identity leaf = *issue_leaf(ca, member_request(), kNow);
  const auto at = [&](Time when) {
    return verify(leaf.certificate_pem, ca.certificate_pem, Purpose::kServer, when);
  };
  EXPECT_TRUE(at(kNow - kClockSkew).ok());
  EXPECT_THAT(at(kNow - hours(1)).message(), HasSubstr("not yet valid"));
  EXPECT_TRUE(at(kNow + hours(24 * 90) - seconds(1)).ok());
  EXPECT_THAT(at(kNow + hours(24 * 90) + seconds(1)).message(), HasSubstr("expired"));
}

TEST(Verify, ALeafIsNoIntermediate) {
  const Identity ca = new_ca();
  const Identity leaf = *issue_leaf(ca, member_request(), kNow);
  // Nobody can make issue_leaf sign with it; the chain that pretends so is refused as well.
  const Identity stranger = *issue_leaf(new_ca(), member_request(), kNow);
  EXPECT_FALSE(verify(stranger.certificate_pem + leaf.certificate_pem, ca.certificate_pem,
                      Purpose::kServer, kNow)
                   .ok());
}

}  // namespace
}  // namespace holdfast::pki
