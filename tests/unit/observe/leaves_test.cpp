#include "operator/observe/leaves.h"

#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "operator/observe/certificates.h"
#include "operator/pki/issue.h"

namespace holdfast::observe {
namespace {

using kube::Json;

const pki::Time kNow{std::chrono::seconds(1'795'000'000)};

pki::Identity authority(const std::string& name) {
  pki::CaRequest request;
  request.common_name = name;
  return *pki::create_ca(request, kNow);
}

class LeavesTest : public testing::Test {
 protected:
  LeavesTest() : first_(authority("first")), second_(authority("second")) {
    add_authorities(first_.certificate_pem, known_);
  }

  static Json secret(const std::string& version, const std::string& certificate,
                     const std::string& key) {
    return {{"metadata", {{"name", "ca"}, {"uid", "u"}, {"resourceVersion", version}}},
            {"data",
             {{std::string(secret_key::kCertificate), absl::Base64Escape(certificate)},
              {std::string(secret_key::kPrivateKey), absl::Base64Escape(key)}}}};
  }
  std::optional<reconcile::Authority> read(const Json& secret) {
    return leaves_.authority(secret, secret_key::kCertificate, secret_key::kPrivateKey);
  }

  const pki::Identity first_, second_;
  Authorities known_;
  KnownLeaves leaves_;
};

TEST_F(LeavesTest, AreReadOnceAVersion) {
  const auto before = read(secret("1", first_.certificate_pem, first_.key_pem));
  ASSERT_TRUE(before);
  EXPECT_EQ(read(secret("1", "what this version never held", "")), before);
  const auto after = read(secret("2", second_.certificate_pem, second_.key_pem));
  ASSERT_TRUE(after);
  EXPECT_NE(after->fingerprint, before->fingerprint);
  EXPECT_FALSE(read(secret("3", first_.certificate_pem, second_.key_pem))) << "not its key";
}

TEST_F(LeavesTest, OfASecretThatTellsNoVersionAreReadEachTime) {
  EXPECT_TRUE(read(secret("", first_.certificate_pem, first_.key_pem)));
  EXPECT_FALSE(read(secret("", "", "")));
}

TEST_F(LeavesTest, AreReadAgainForOtherAuthoritiesAndOtherUses) {
  pki::LeafRequest request;
  request.common_name = "db-0";
  request.names = {"db-0.db-peers.apps.svc"};
  request.for_servers = true;
  request.for_clients = false;
  request.duration = std::chrono::hours(24);
  const auto issued = pki::issue_leaf(second_, request, kNow);
  ASSERT_TRUE(issued.ok()) << issued.status();
  const Json held = secret("1", issued->certificate_pem, issued->key_pem);
  const LeafUse server{pki::Purpose::kServer, false};
  const auto leaf = leaves_.leaf(held, server, known_);
  ASSERT_TRUE(leaf.ok()) << leaf.status();
  EXPECT_TRUE(leaf->anchors.empty());
  add_authorities(second_.certificate_pem, known_);
  EXPECT_EQ(leaves_.leaf(held, server, known_)->anchors.size(), 1U);
  EXPECT_FALSE(leaves_.leaf(held, {pki::Purpose::kClient, false}, known_).ok());
  EXPECT_FALSE(leaves_.leaf(held, {pki::Purpose::kServer, true}, known_).ok());
}

}  // namespace
}  // namespace holdfast::observe
