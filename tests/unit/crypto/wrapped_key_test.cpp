#include "datastore/crypto/wrapped_key.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "datastore/base/crc32c.h"
#include "datastore/crypto/aead.h"
#include "datastore/crypto/wrapping_keys.h"

namespace holdfast::crypto {
namespace {

constexpr char kPath[] = "d/member/keys";

std::string hex_of(const Key256& key) {
  return absl::BytesToHexString({key.bytes().data(), key.bytes().size()});
}

TEST(WrappingKeys, AreReadAsHexOrBase64AmongCommentsInOrder) {
  const Key256 first = Key256::random();
  const Key256 second = Key256::random();
  const std::string text =
      absl::StrCat("# now\n  ", hex_of(first), "\r\n\n# before\n",
                   absl::Base64Escape({second.bytes().data(), second.bytes().size()}));
  const auto keys = parse_wrapping_keys(text, "f");
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(*keys, (std::vector<Key256>{first, second}));
}

TEST(WrappingKeys, BrokenFilesAreRefusedByLineWithoutShowingIt) {
  const std::string good = hex_of(Key256::random());
  struct Case {
    std::string text;
    std::string says;
  };
  const std::vector<Case> cases = {
      {"", "f holds no key"},
      {"# only words\n\n", "f holds no key"},
      {good + "\nsecretsecret\n", "line 2: is no key"},
      {good.substr(1), "line 1: is no key"},
      {good + "0", "line 1: is no key"},
      {"g" + good.substr(1), "line 1: is no key"},
      {std::string(64, '0'), "line 1: repeats one byte"},
      {good + "\n" + good, "line 2: repeats a key"},
      {std::string(kMaxKeyFileBytes + 1, '#'), "f is larger than"},
  };
  for (const Case& one : cases) {
    const auto keys = parse_wrapping_keys(one.text, "f");
    ASSERT_FALSE(keys.ok()) << one.says;
    EXPECT_TRUE(absl::IsInvalidArgument(keys.status()));
    EXPECT_NE(keys.status().message().find(one.says), std::string::npos) << keys.status();
    EXPECT_EQ(keys.status().message().find("secretsecret"), std::string::npos);
  }
  std::string many;
  for (std::size_t i = 0; i <= kMaxWrappingKeys; ++i) many += hex_of(Key256::random()) + "\n";
  EXPECT_FALSE(parse_wrapping_keys(many, "f").ok());
}

TEST(WrappedKey, IsOpenedByTheKeyThatSealedItWhereverThatStands) {
  const Key256 data = Key256::random();
  const Key256 old_key = Key256::random();
  const Bytes record = wrap_key({data, true}, old_key);
  ASSERT_EQ(record.size(), kWrappedKeyBytes);
  const std::vector<Key256> keys = {Key256::random(), old_key};
  const auto opened = unwrap_key(record, keys, kPath);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->key.data_key, data);
  EXPECT_TRUE(opened->key.all_sealed);
  EXPECT_EQ(opened->wrapped_by, old_key.id());
  EXPECT_EQ(record.find(data.bytes()), Bytes::npos);
}

TEST(WrappedKey, AnotherKeyIsToldWhichOneIsNeeded) {
  const Key256 needed = Key256::random();
  const Bytes record = wrap_key({Key256::random()}, needed);
  const auto opened = unwrap_key(record, {Key256::random()}, kPath);
  ASSERT_TRUE(absl::IsFailedPrecondition(opened.status()));
  EXPECT_NE(opened.status().message().find(short_hex(needed.id())), std::string::npos);
}

TEST(WrappedKey, EveryFlippedBitAndEveryCutIsFound) {
  const std::vector<Key256> keys = {Key256::random()};
  const Bytes record = wrap_key({Key256::random()}, keys.front());
  for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
    Bytes changed = record;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(unwrap_key(changed, keys, kPath).ok()) << bit;
    // And by somebody who knows how checksums are made.
    store_le32(changed.data() + 112, crc32c(0, BytesView(changed).substr(0, 112)));
    if (bit >= std::size_t{112} * 8) continue;
    EXPECT_FALSE(unwrap_key(changed, keys, kPath).ok()) << bit;
  }
  for (std::size_t size = 0; size < record.size(); ++size) {
    EXPECT_FALSE(unwrap_key(BytesView(record).substr(0, size), keys, kPath).ok()) << size;
  }
}

TEST(WrappedKey, NoNonceIsUsedTwice) {
  const Key256 key = Key256::random();
  const Key256 data = Key256::random();
  std::set<Bytes> nonces;
  for (int i = 0; i < 1000; ++i) nonces.insert(wrap_key({data}, key).substr(52, 12));
  EXPECT_EQ(nonces.size(), 1000U);
}

TEST(Key256, DerivedKeysDifferBySaltAndPurposeAndIdsTellNothing) {
  const Key256 key = Key256::random();
  const std::set<Bytes> all = {
      Bytes(key.bytes()), Bytes(key.derive("a", "p").bytes()), Bytes(key.derive("b", "p").bytes()),
      Bytes(key.derive("a", "q").bytes()), Bytes(view_of(key.id())) + Bytes(16, '\0')};
  EXPECT_EQ(all.size(), 5U);
  EXPECT_EQ(key.derive("a", "p"), key.derive("a", "p"));
  EXPECT_EQ(short_hex(key.id()).size(), 16U);
}

TEST(AeadContext, AgreesWithTheEngineAndWorksInPlace) {
  const Key256 key = Key256::random();
  const auto engine = make_openssl_gcm(key);
  AeadContext context(key);
  for (const std::size_t size : {0, 1, 15, 16, 17, 300, 70000}) {
    const Bytes nonce = random_bytes(12);
    const Bytes text = random_bytes(size);
    Bytes buffer = text + Bytes(16, '\0');
    context.seal(nonce, "with", BytesView(buffer).substr(0, size), buffer.data());
    Bytes expected(buffer.size(), '\0');
    engine->seal(nonce, "with", text, expected.data());
    EXPECT_EQ(buffer, expected);
    Bytes changed = buffer;
    changed[size / 2] = static_cast<char>(changed[size / 2] ^ 1);
    EXPECT_FALSE(context.open(nonce, "with", changed, changed.data()));
    EXPECT_FALSE(AeadContext(key).open(nonce, "without", buffer, Bytes(size, '\0').data()));
    ASSERT_TRUE(context.open(nonce, "with", buffer, buffer.data()));
    EXPECT_EQ(buffer.substr(0, size), text);
  }
}

TEST(AeadContext, TakesAnotherKeyIntoUse) {
  const Key256 first = Key256::random();
  const Key256 second = Key256::random();
  const Bytes nonce(12, '\0');
  AeadContext context(first);
  char sealed[20];
  char opened[4];
  context.seal(nonce, {}, "text", sealed);
  EXPECT_TRUE(context.open(nonce, {}, {sealed, sizeof sealed}, opened));
  context.use(second);
  EXPECT_FALSE(context.open(nonce, {}, {sealed, sizeof sealed}, opened));
  context.seal(nonce, {}, "text", sealed);
  EXPECT_TRUE(AeadContext(second).open(nonce, {}, {sealed, sizeof sealed}, opened));
}

}  // namespace
}  // namespace holdfast::crypto
