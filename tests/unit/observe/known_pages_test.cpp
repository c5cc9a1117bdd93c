#include "operator/observe/known_pages.h"

#include <memory>

#include "gtest/gtest.h"

namespace holdfast::observe {
namespace {

using kube::Json;

const KnownPages::Clock::time_point kStart =
    KnownPages::Clock::time_point() + std::chrono::hours(1);

kube::Object object(Json json) {
  return std::make_shared<const Json>(std::move(json));
}

kube::Object pod(const char* uid, bool tls) {
  const Json args = tls ? Json::array({"--cert-file=/tls.crt"}) : Json::array();
  return object(
      {{"metadata", {{"uid", uid}}}, {"spec", {{"containers", Json::array({{{"args", args}}})}}}});
}

kube::Object secret(const char* version) {
  return object({{"metadata", {{"resourceVersion", version}}}});
}

/// A cluster of one with TLS whose page was read.
class KnownPagesTest : public testing::Test {
 protected:
  KnownPagesTest() {
    snapshot_.cluster.metadata.name = "db";
    snapshot_.pods = {pod("p1", true)};
    snapshot_.standing[{"Secret", "db-0-server-tls"}] = secret("1");
    answered_[0].status = member::MemberStatus();
    answered_[0].page = member::MetricsPage{.release = "1.0.0"};
    answered_[0].page->wal_fsync = {{1.0, 2.0}};
  }
  bool must_read(std::chrono::seconds later = std::chrono::seconds(1)) const {
    return pages_.must_read(snapshot_, {}, kStart + later);
  }

  Snapshot snapshot_;
  KnownPages::Probes answered_;
  KnownPages pages_;
};

TEST_F(KnownPagesTest, AreReadUntilCertificatesAreSettled) {
  EXPECT_TRUE(must_read());
  pages_.learn(snapshot_, {}, answered_, false, kStart);
  EXPECT_TRUE(must_read());
  pages_.learn(snapshot_, {}, answered_, true, kStart);
  EXPECT_FALSE(must_read());
}

TEST_F(KnownPagesTest, AreReadAgainAfterWhatTheyHangOnHasChanged) {
  pages_.learn(snapshot_, {}, answered_, true, kStart);
  snapshot_.standing[{"Secret", "db-0-server-tls"}] = secret("2");
  EXPECT_TRUE(must_read());
  snapshot_.standing[{"Secret", "db-0-server-tls"}] = secret("1");
  EXPECT_FALSE(must_read());
  snapshot_.pods = {pod("p2", true)};
  EXPECT_TRUE(must_read());
}

TEST_F(KnownPagesTest, AreReadAgainInTime) {
  pages_.learn(snapshot_, {}, answered_, true, kStart);
  EXPECT_FALSE(must_read(KnownPages::kKeep - std::chrono::seconds(1)));
  EXPECT_TRUE(must_read(KnownPages::kKeep));
}

TEST_F(KnownPagesTest, AreNotKnownWhileAMembersIsMissing) {
  snapshot_.pods.push_back(pod("p2", true));
  pages_.learn(snapshot_, {}, answered_, true, kStart);
  EXPECT_TRUE(must_read());
}

TEST_F(KnownPagesTest, AreNeverReadWithoutTls) {
  snapshot_.pods = {pod("p1", false)};
  EXPECT_FALSE(must_read());
}

TEST_F(KnownPagesTest, StandForMembersThatAnswer) {
  pages_.learn(snapshot_, {}, answered_, true, kStart);
  KnownPages::Probes probes;
  probes[0].status = member::MemberStatus();
  probes[1].status = absl::UnavailableError("gone");
  pages_.fill(snapshot_, probes);
  ASSERT_TRUE(probes[0].page.ok());
  EXPECT_EQ(probes[0].page->release, "1.0.0");
  EXPECT_TRUE(probes[0].page->wal_fsync.empty());  // nothing that a pass decides by
  EXPECT_FALSE(probes[1].page.ok());
}

}  // namespace
}  // namespace holdfast::observe
