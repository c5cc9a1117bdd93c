#include "datastore/crypto/tls_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/crypto/test_certificates.h"

namespace holdfast::crypto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Clock = std::chrono::system_clock;

/// Keeps what it is told, a line each.
class Told final : public TlsObserver {
 public:
  void reloaded(const TlsSettings& endpoint, bool trust, std::string_view digest) override {
    lines.push_back(endpoint.endpoint + (trust ? " trusts " + std::string(digest) : " reloaded"));
  }
  void reload_refused(const TlsSettings&, const absl::Status& why) override {
    lines.push_back("refused " + std::string(why.message()));
  }
  void own_certificate_failed(const TlsSettings&, std::string_view file,
                              const TlsFailure& failure) override {
    lines.push_back(std::string(file) + " " + std::string(tls_reason_name(failure.reason)));
  }
  std::vector<std::string> take() { return std::exchange(lines, {}); }
  std::vector<std::string> lines;
};

class TlsContextTest : public testing::Test {
 protected:
  TlsContextTest() {
    settings.endpoint = "peer";
    settings.cert_file = files.path("m1.crt");
    settings.key_file = files.path("m1.key");
    settings.trusted_ca_file = files.path("ca.crt");
    files.write("ca.crt", ca.pem());
    files.write("m1", ca.issue({.common_name = "m1"}));
  }
  std::shared_ptr<TlsContext> open() {
    absl::StatusOr<std::shared_ptr<TlsContext>> opened = TlsContext::open(settings, told);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.value_or(nullptr);
  }
  std::string error() { return std::string(TlsContext::open(settings, told).status().message()); }

  TestFiles files;
  TestCa ca;
  TlsSettings settings;
  std::shared_ptr<Told> told = std::make_shared<Told>();
};

TEST_F(TlsContextTest, TellsEveryCertificateInUseByItsFlag) {
  const auto tls = open();
  std::vector<std::string> seen;
  for (const UsedCertificate& each : tls->material()->certificates()) {
    seen.push_back(each.flag + " " + each.info.subject);
  }
  EXPECT_THAT(seen, ElementsAre("peer-trusted-ca-file CN=test CA", "peer-cert-file CN=m1"));
  EXPECT_EQ(tls->material()->bundle_sha256().size(), 64u);
}

TEST_F(TlsContextTest, NamesTheFileThatCannotBeUsedAtTheStart) {
  settings.key_file = files.path("absent.key");
  EXPECT_THAT(error(), HasSubstr("absent.key"));
  settings.key_file = files.write("other.key", ca.issue({}).key_pem);
  EXPECT_THAT(error(), HasSubstr("other.key does not belong to the certificate in"));
  settings.key_file = files.write("garbage.key", "not a key");
  EXPECT_THAT(error(), HasSubstr("garbage.key holds no readable, unencrypted PEM key"));
  settings.key_file = files.path("m1.key");
  settings.trusted_ca_file = files.write("empty.crt", "");
  EXPECT_THAT(error(), HasSubstr("empty.crt holds no PEM certificate"));
}

TEST_F(TlsContextTest, TakesANewLeafButNotAHalfWrittenOne) {
  const auto tls = open();
  const auto before = tls->material();
  EXPECT_EQ(tls->reload(Clock::now()), TlsContext::Reload::kUnchanged);
  EXPECT_THAT(told->take(), IsEmpty());

  const TestIdentity renewed = ca.issue({.common_name = "m1 renewed"});
  const std::string half = renewed.certificate_pem.substr(0, renewed.certificate_pem.size() / 2);
  files.write("m1.crt", half);
  EXPECT_EQ(tls->reload(Clock::now()), TlsContext::Reload::kRefused);
  EXPECT_EQ(tls->reload(Clock::now()), TlsContext::Reload::kRefused);
  EXPECT_EQ(tls->material(), before);
  EXPECT_THAT(told->take(), ElementsAre(HasSubstr("m1.crt")));  // once

  files.write("m1.crt", renewed.certificate_pem);  // the key is still the earlier one
  EXPECT_EQ(tls->reload(Clock::now()), TlsContext::Reload::kRefused);
  EXPECT_THAT(told->take(), ElementsAre(HasSubstr("does not belong to the certificate")));

  files.write("m1.key", renewed.key_pem);
  EXPECT_EQ(tls->reload(Clock::now()), TlsContext::Reload::kReloaded);
  EXPECT_THAT(told->take(), ElementsAre("peer reloaded"));
  EXPECT_EQ(tls->material()->certificates().back().info.subject, "CN=m1 renewed");
}

TEST_F(TlsContextTest, AFileThatVanishesKeepsWhatWasRead) {
  const auto tls = open();
  std::remove(settings.cert_file.c_str());
  EXPECT_EQ(tls->reload(Clock::now()), TlsContext::Reload::kRefused);
  EXPECT_THAT(told->take(), ElementsAre(HasSubstr("m1.crt")));
}

TEST_F(TlsContextTest, ANewBundleRaisesTheGenerationAndTellsItsDigest) {
  const auto tls = open();
  const std::uint64_t before = tls->trust_generation();
  files.write("ca.crt", ca.pem() + TestCa("second CA").pem());
  EXPECT_EQ(tls->reload(Clock::now()), TlsContext::Reload::kTrustChanged);
  EXPECT_EQ(tls->trust_generation(), before);
  EXPECT_TRUE(tls->enforce_trust());
  EXPECT_FALSE(tls->enforce_trust());
  EXPECT_GT(tls->trust_generation(), before);
  EXPECT_THAT(told->take(), ElementsAre("peer trusts " + tls->material()->bundle_sha256()));
}

TEST_F(TlsContextTest, ExistingConnectionsAreCheckedAgainWhenTheGraceIsOver) {
  settings.drop_grace = std::chrono::hours(1);
  const auto tls = open();
  const std::uint64_t before = tls->trust_generation();
  files.write("ca.crt", TestCa("second CA").pem());
  EXPECT_EQ(tls->reload(Clock::now()), TlsContext::Reload::kTrustChanged);
  EXPECT_FALSE(tls->enforce_trust());
  EXPECT_EQ(tls->trust_generation(), before);
}

TEST_F(TlsContextTest, TellsOnceOfEachOwnCertificateThatFails) {
  settings.advertised_hosts = {"127.0.0.1", "m1.example.org"};
  settings.dial_cert_file = files.path("dial.crt");
  settings.dial_key_file = files.path("dial.key");
  files.write("dial", ca.issue({.usages = "serverAuth"}));
  const auto tls = open();
  EXPECT_EQ(tls->reload(Clock::now()), TlsContext::Reload::kUnchanged);
  EXPECT_THAT(told->take(),
              ElementsAre("peer-cert-file mismatched", "peer-client-cert-file wrong_usage"));
  tls->reload(Clock::now());
  EXPECT_THAT(told->take(), IsEmpty());
  tls->reload(Clock::now() + std::chrono::hours(2));
  EXPECT_THAT(told->take(), ElementsAre("peer-cert-file expired", "peer-client-cert-file expired"));
  tls->reload(Clock::now() - std::chrono::hours(2));
  EXPECT_THAT(told->take(),
              ElementsAre("peer-cert-file not_yet_valid", "peer-client-cert-file not_yet_valid"));
}

TEST_F(TlsContextTest, AServerCertificateWithoutServerUsageIsTold) {
  settings.endpoint = "client";
  files.write("m1", ca.issue({.usages = "clientAuth"}));
  const auto tls = open();
  tls->reload(Clock::now());
  EXPECT_THAT(told->take(), ElementsAre("cert-file wrong_usage"));
}

}  // namespace
}  // namespace holdfast::crypto
