#include "operator/pki/trust.h"

#include <gtest/gtest.h>

#include <string>

#include "datastore/crypto/tls_material.h"
#include "operator/pki/issue.h"

namespace holdfast::pki {
namespace {

constexpr Time kNow{std::chrono::seconds(1'800'000'000)};

std::string new_ca_pem() {
  return create_ca({"demo", ""}, kNow)->certificate_pem;
}

/// What a member reports once it has loaded `bundle`.
std::string reported_digest(const std::string& bundle) {
  crypto::TlsSettings settings;
  settings.endpoint = "peer";
  settings.trusted_ca_file = "ca.crt";
  crypto::TlsFiles files;
  files.trusted_ca = bundle;
  const auto material = crypto::TlsMaterial::build(settings, files);
  return material.ok() ? (*material)->bundle_sha256() : material.status().ToString();
}

TEST(Bundle, IsTheSameTextForTheSameCasInAnyOrder) {
  const std::string one = new_ca_pem();
  const std::string two = new_ca_pem();
  const std::string bundle = *make_bundle({one, two}, "it");
  EXPECT_EQ(*make_bundle({two, one}, "it"), bundle);
  EXPECT_EQ(*make_bundle({"# both\n" + two + "\r\n" + one + two}, "it"), bundle);
  EXPECT_EQ(*make_bundle({bundle}, "it"), bundle);
  EXPECT_NE(*make_bundle({one}, "it"), bundle);
}

TEST(Bundle, ThatCantBeReadIsAnError) {
  EXPECT_FALSE(make_bundle({new_ca_pem(), ""}, "it").ok());
  EXPECT_FALSE(make_bundle({"nothing"}, "it").ok());
  EXPECT_EQ(*make_bundle({}, "it"), "");
}

TEST(BundleDigest, EqualsWhatAMemberReports) {
  const std::string bundle = *make_bundle({new_ca_pem(), new_ca_pem()}, "it");
  EXPECT_EQ(bundle_digest(bundle), reported_digest(bundle));
  const std::string users = "# not canonical\n\n" + new_ca_pem();
  EXPECT_EQ(bundle_digest(users), reported_digest(users));
}

TEST(BundleDigest, IsSha256AsItsStandardSays) {
  // FIPS 180-4, the example of one block.
  EXPECT_EQ(bundle_digest("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Verify, BrokenTextsAreErrorsNotAnswers) {
  const std::string ca = new_ca_pem();
  EXPECT_EQ(verify("", ca, Purpose::kServer, kNow).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(verify(ca, "", Purpose::kServer, kNow).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(verify("x", "y", Purpose::kClient, kNow).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace holdfast::pki
