#include "datastore/crypto/gcm_engine.h"

#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/escaping.h"

namespace holdfast::crypto {
namespace {

using Make = std::unique_ptr<GcmEngine> (*)(const Key256&);

Bytes sealed(GcmEngine& engine, BytesView nonce, BytesView associated, BytesView plain) {
  Bytes out(plain.size() + kGcmTagBytes, '\0');
  engine.seal(nonce, associated, plain, out.data());
  return out;
}

class Engine : public testing::TestWithParam<Make> {
 protected:
  static std::unique_ptr<GcmEngine> make(const Key256& key) { return GetParam()(key); }
};

struct Vector {
  const char* key;
  const char* nonce;
  const char* associated;
  const char* plain;
  const char* cipher_text_and_tag;
};

// Source: The Galois/Counter Mode of Operation, appendix B, test cases 13, 14 and 16.
constexpr Vector kVectors[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"},
};

TEST_P(Engine, AnswersThePublishedVectors) {
  for (const Vector& vector : kVectors) {
    const auto engine = make(Key256(absl::HexStringToBytes(vector.key)));
    EXPECT_EQ(absl::BytesToHexString(sealed(*engine, absl::HexStringToBytes(vector.nonce),
                                            absl::HexStringToBytes(vector.associated),
                                            absl::HexStringToBytes(vector.plain))),
              vector.cipher_text_and_tag);
  }
}

TEST_P(Engine, SealsAndOpensAsOpensslDoesAtEverySizeAndInPlace) {
  const Key256 key = Key256::random();
  const auto engine = make(key);
  const auto reference = make_openssl_gcm(key);
  for (std::size_t size = 0; size < 1200; ++size) {
    Bytes nonce(kGcmNonceBytes, static_cast<char>(size));
    const Bytes associated(size % 60, 'a');
    Bytes bytes(size, static_cast<char>(size * 7));
    const Bytes plain = bytes;
    const Bytes expected = sealed(*reference, nonce, associated, plain);
    bytes.resize(size + kGcmTagBytes);
    engine->seal(nonce, associated, {bytes.data(), size}, bytes.data());
    ASSERT_EQ(bytes, expected) << size;
    const BytesView tag = BytesView(bytes).substr(size);
    ASSERT_TRUE(engine->open(nonce, associated, {bytes.data(), size}, tag, bytes.data())) << size;
    ASSERT_EQ(bytes.substr(0, size), plain);
  }
}

TEST_P(Engine, RefusesWhatWasChangedAnywhere) {
  const auto engine = make(Key256::random());
  const Bytes nonce(kGcmNonceBytes, 'n');
  const Bytes plain(100, 'p');
  const Bytes good = sealed(*engine, nonce, "place", plain);
  Bytes out(plain.size(), '\0');
  const auto opens = [&](BytesView all, BytesView at, BytesView associated) {
    return engine->open(at, associated, all.substr(0, plain.size()), all.substr(plain.size()),
                        out.data());
  };
  EXPECT_TRUE(opens(good, nonce, "place"));
  EXPECT_FALSE(opens(good, Bytes(kGcmNonceBytes, 'm'), "place"));
  EXPECT_FALSE(opens(good, nonce, "another place"));
  for (std::size_t i = 0; i < good.size(); ++i) {
    Bytes changed = good;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(opens(changed, nonce, "place")) << i;
  }
}

TEST_P(Engine, TakesAnotherKeyForBothDirections) {
  const Key256 second = Key256::random();
  const auto engine = make(Key256::random());
  const Bytes nonce(kGcmNonceBytes, 'n');
  char out[1];
  const Bytes by_first = sealed(*engine, nonce, "", "x");
  EXPECT_TRUE(engine->open(nonce, "", by_first.substr(0, 1), by_first.substr(1), out));
  engine->use(second);
  EXPECT_FALSE(engine->open(nonce, "", by_first.substr(0, 1), by_first.substr(1), out));
  EXPECT_EQ(sealed(*engine, nonce, "", "x"), sealed(*make_openssl_gcm(second), nonce, "", "x"));
}

/// Where intel-ipsec-mb must be: tests/tools/debian-packages installs it on x86-64.
bool has_ipsec() {
#ifdef __x86_64__
  return __builtin_cpu_supports("aes");
#else
  return false;
#endif
}

std::vector<Make> engines() {
  std::vector<Make> all = {&make_openssl_gcm};
  if (has_ipsec()) all.push_back(&make_ipsec_gcm);
  return all;
}

TEST(Engines, TheFastOneIsThereWhereItCanBe) {
  EXPECT_EQ(make_ipsec_gcm(Key256::random()) != nullptr, has_ipsec());
}

INSTANTIATE_TEST_SUITE_P(All, Engine, testing::ValuesIn(engines()));

}  // namespace
}  // namespace holdfast::crypto
