#include "operator/pki/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "operator/pki/issue.h"

namespace holdfast::pki {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Time kNow{std::chrono::seconds(1'800'000'000)};

Identity new_ca() {
  return *create_ca({"demo peer CA", "default/demo"}, kNow);
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  text.replace(text.find(what), what.size(), with);
  return text;
}

TEST(ReadCertificates, GivesEachOfABundleInItsOrder) {
  const Identity one = new_ca();
  const Identity two = new_ca();
  const auto read =
      read_certificates("a comment\n" + two.certificate_pem + "\n\n" + one.certificate_pem, "it");
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ(read->at(0).pem, two.certificate_pem);
  EXPECT_EQ(read->at(1).pem, one.certificate_pem);
  EXPECT_NE(read->at(0).fingerprint, read->at(1).fingerprint);
  EXPECT_EQ(read->at(0).fingerprint.size(), 64U);
}

TEST(ReadCertificates, SkipsAKeyAmongThem) {
  const Identity ca = new_ca();
  const auto read = read_certificates(ca.key_pem + ca.certificate_pem, "it");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->size(), 1U);
}

TEST(ReadCertificates, RefusesMoreThanItsBounds) {
  const std::string one = new_ca().certificate_pem;
  std::string many;
  for (std::size_t i = 0; i <= kMaxCertificates; ++i) many += one;
  EXPECT_THAT(read_certificates(many, "it").status().message(), HasSubstr("at most 64"));
  const std::string long_text = one + std::string(kMaxPemBytes, ' ');
  EXPECT_THAT(read_certificates(long_text, "it").status().message(), HasSubstr("larger than"));
}

struct BrokenPem {
  std::string name;
  std::string text;
};

/// Texts that a Secret may hold after somebody's hand or a truncated write.
std::vector<BrokenPem> broken_pems() {
  const std::string good = new_ca().certificate_pem;
  const std::string begin = "-----BEGIN CERTIFICATE-----\n";
  const std::string end = "-----END CERTIFICATE-----\n";
  return {
      {"Empty", ""},
      {"OnlySpace", " \n\t\n"},
      {"Prose", "not a certificate"},
      {"OnlyZeros", std::string(64, '\0')},
      {"BeginAlone", begin},
      {"BeginAndEnd", begin + end},
      {"NoEnd", good.substr(0, good.size() - end.size())},
      {"CutInTheMiddle", good.substr(0, good.size() / 2)},
      {"CutByOne", good.substr(0, good.size() - 10)},
      {"NoBegin", good.substr(begin.size())},
      {"WrongEnd", replaced(good, "END CERTIFICATE", "END PRIVATE KEY")},
      {"NotBase64", begin + "?????\n" + end},
      {"Base64OfProse", begin + "bm90IGEgY2VydGlmaWNhdGU=\n" + end},
      {"DerLengthTooLarge", begin + "MIL/////\n" + end},
      {"DerEmptySequence", begin + "MAA=\n" + end},
      {"DerItself", std::string("\x30\x82\x01\x00\x30\x82", 6)},
      {"Key", new_ca().key_pem},
      {"GoodThenBroken", good + begin + "MAA=\n" + end},
      {"HalfAfterGood", good + good.substr(0, good.size() / 2)},
  };
}

class BrokenPems : public testing::TestWithParam<BrokenPem> {};

TEST_P(BrokenPems, AreErrorsThatNameTheirSource) {
  const auto read = read_certificates(GetParam().text, "Secret demo-ca, key tls.crt");
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(read.status().message(), HasSubstr("Secret demo-ca, key tls.crt"));
  EXPECT_FALSE(read_leaf(GetParam().text, "it").ok());
  const Identity good = new_ca();
  EXPECT_FALSE(check_key(GetParam().text, good.key_pem, "it").ok());
}

INSTANTIATE_TEST_SUITE_P(Table, BrokenPems, testing::ValuesIn(broken_pems()),
                         [](const auto& info) { return info.param.name; });

TEST(ReadCertificates, EveryTruncationAndEveryFlippedByteIsAnErrorOrAValue) {
  const std::string good = new_ca().certificate_pem;
  for (std::size_t i = 0; i < good.size(); ++i) {
    EXPECT_TRUE(i + 1 >= good.size() || !read_certificates(good.substr(0, i), "it").ok());
    std::string flipped = good;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x15);
    static_cast<void>(read_certificates(flipped, "it"));
  }
}

TEST(CheckKey, AcceptsTheCertificatesOwnKeyOnly) {
  const Identity one = new_ca();
  const Identity two = new_ca();
  EXPECT_TRUE(check_key(one.certificate_pem, one.key_pem, "it").ok());
  EXPECT_THAT(check_key(one.certificate_pem, two.key_pem, "it").message(),
              HasSubstr("does not belong"));
}

TEST(CheckKey, RefusesKeysThatAreNotThere) {
  const Identity one = new_ca();
  for (const std::string& key :
       {std::string(), std::string("nothing"), one.certificate_pem, one.key_pem.substr(0, 60)}) {
    EXPECT_EQ(check_key(one.certificate_pem, key, "it").code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(CanonicalNames, SortsLowersAndNamesEachOnce) {
  const auto names = canonical_names(
      {"B.example", "a.example", "*.Pods.svc", "b.EXAMPLE", "127.0.0.1", "0:0:0:0:0:0:0:1"});
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(*names, ElementsAre("*.pods.svc", "127.0.0.1", "::1", "a.example", "b.example"));
}

TEST(CanonicalNames, RefusesWhatNoCertificateCarries) {
  for (const std::string& name :
       {std::string(), std::string("a..b"), std::string("-a"), std::string("a,DNS:evil"),
        std::string("a b"), std::string("*"), std::string("x.*.y"), std::string(254, 'a'),
        std::string(64, 'a'), std::string("a\0b", 3), std::string("https://a"), std::string("é")}) {
    EXPECT_EQ(canonical_names({name}).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_FALSE(canonical_names(std::vector<std::string>(kMaxNames + 1, "a")).ok());
}

}  // namespace
}  // namespace holdfast::pki
