#include "datastore/crypto/tokens.h"

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <set>

#include "absl/strings/escaping.h"
#include "datastore/base/errors.h"
#include "datastore/base/prng.h"

namespace holdfast::crypto {
namespace {

using std::chrono::seconds;

class TestClock final : public ports::Clock {
 public:
  std::chrono::nanoseconds monotonic() const override { return now; }
  std::int64_t unix_milliseconds() const override { return now.count() / 1'000'000; }
  std::chrono::nanoseconds now{seconds(1'000'000)};
};

class TestRandom final : public ports::Random {
 public:
  std::uint64_t next() override { return prng_.next(); }

 private:
  Prng prng_{7};
};

TEST(SimpleTokens, LastAsLongAsTheyAreUsed) {
  TestClock clock;
  SimpleTokens tokens(seconds(300), clock);
  tokens.keep("abc.7", "alice");
  for (int i = 0; i < 5; ++i) {
    clock.now += seconds(299);
    ASSERT_EQ(tokens.find("abc.7"), "alice");
  }
  clock.now += seconds(301);
  EXPECT_EQ(tokens.find("abc.7"), std::nullopt);
  EXPECT_EQ(tokens.find("abc.8"), std::nullopt);
}

TEST(SimpleTokens, GoWithTheirUserAndWithAuth) {
  TestClock clock;
  SimpleTokens tokens(seconds(300), clock);
  tokens.keep("a.1", "alice");
  tokens.keep("b.2", "alice");
  tokens.keep("c.3", "bob");
  tokens.forget_user("alice");
  EXPECT_EQ(tokens.size(), 1U);
  EXPECT_EQ(tokens.find("c.3"), "bob");
  tokens.forget_all();
  EXPECT_EQ(tokens.size(), 0U);
}

TEST(SimpleTokens, UnusedOnesAreSweptAndTheirNumberIsBounded) {
  TestClock clock;
  SimpleTokens tokens(seconds(300), clock);
  for (int i = 0; i < 1000; ++i) tokens.keep("a." + std::to_string(i), "alice");
  clock.now += seconds(301);
  tokens.keep("b.1", "bob");
  EXPECT_EQ(tokens.size(), 1U);
}

TEST(SimpleTokens, NameTheirIndex) {
  EXPECT_EQ(token_index("abcdefgh.17"), 17U);
  for (const BytesView bad :
       {"", "a", "a.", "a.b", "a.1.2", "a.-1", "a. 1", "a.18446744073709551616"}) {
    EXPECT_EQ(token_index(bad), std::nullopt) << bad;
  }
}

TEST(SimpleTokens, BeginWithSixteenLettersOfEveryKind) {
  TestRandom random;
  std::set<char> seen;
  for (int i = 0; i < 100; ++i) {
    const Bytes prefix = new_token_prefix(random);
    ASSERT_EQ(prefix.size(), 16U);
    seen.insert(prefix.begin(), prefix.end());
  }
  EXPECT_EQ(seen.size(), 52U);
}

struct KeyPair {
  std::string private_pem;
  std::string public_pem;
};

std::string text_of(const BioPtr& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

KeyPair make_keys(EVP_PKEY* raw) {
  const KeyPtr key(raw);
  EXPECT_NE(key, nullptr);
  const BioPtr priv(BIO_new(BIO_s_mem()));
  const BioPtr pub(BIO_new(BIO_s_mem()));
  EXPECT_EQ(PEM_write_bio_PrivateKey(priv.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr),
            1);
  EXPECT_EQ(PEM_write_bio_PUBKEY(pub.get(), key.get()), 1);
  return {text_of(priv), text_of(pub)};
}

KeyPair keys_for(const std::string& method) {
  if (method.starts_with("HS")) return {"a secret of some length", ""};
  if (method == "EdDSA") return make_keys(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (method == "ES256") return make_keys(EVP_EC_gen("P-256"));
  if (method == "ES384") return make_keys(EVP_EC_gen("P-384"));
  if (method == "ES512") return make_keys(EVP_EC_gen("P-521"));
  static const KeyPair kRsa = make_keys(EVP_RSA_gen(2048));
  return kRsa;
}

constexpr const char* kMethods[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
                                    "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"};

TEST(Jwt, VouchesForTheClaimsItSigned) {
  TestClock clock;
  for (const char* method : kMethods) {
    SCOPED_TRACE(method);
    const KeyPair keys = keys_for(method);
    auto jwt = Jwt::open(
        {.method = method, .public_key = keys.public_pem, .private_key = keys.private_pem}, clock);
    ASSERT_TRUE(jwt.ok()) << jwt.status();
    const auto token = (*jwt)->sign({.user = "al\"ice", .auth_revision = 17});
    ASSERT_TRUE(token.ok()) << token.status();
    for (int i = 0; i < 2; ++i) {  // read, then remembered
      const auto claims = (*jwt)->verify(*token);
      ASSERT_TRUE(claims.has_value());
      EXPECT_EQ(claims->user, "al\"ice");
      EXPECT_EQ(claims->auth_revision, 17U);
    }
    for (const std::size_t at : {std::size_t{3}, token->size() / 2, token->size() - 3}) {
      Bytes forged = *token;
      forged[at] = forged[at] == 'A' ? 'B' : 'A';
      EXPECT_FALSE((*jwt)->verify(forged).has_value()) << at;
    }
    EXPECT_FALSE((*jwt)->verify(*token + "A").has_value());
    EXPECT_FALSE((*jwt)->verify(token->substr(0, token->rfind('.') + 1)).has_value());
    const KeyPair others = keys_for("ES256");
    clock.now += seconds(299);
    EXPECT_TRUE((*jwt)->verify(*token).has_value());
    clock.now += seconds(1);
    EXPECT_FALSE((*jwt)->verify(*token).has_value()) << "expired";
  }
}

TEST(Jwt, WithThePublicKeyAloneVerifiesAndSignsNothing) {
  TestClock clock;
  for (const char* method : {"RS256", "PS384", "ES256", "EdDSA"}) {
    SCOPED_TRACE(method);
    const KeyPair keys = keys_for(method);
    auto signer = Jwt::open({.method = method, .private_key = keys.private_pem}, clock);
    auto reader = Jwt::open({.method = method, .public_key = keys.public_pem}, clock);
    ASSERT_TRUE(signer.ok() && reader.ok());
    const auto token = (*signer)->sign({.user = "alice", .auth_revision = 1});
    ASSERT_TRUE(token.ok());
    EXPECT_TRUE((*reader)->verify(*token).has_value());
    EXPECT_EQ((*reader)->sign({}).status(), errors::verify_only_key());
  }
}

// The classic forgery: the public key, which is no secret, as the secret of an HMAC.
TEST(Jwt, ATokenDoesNotChooseItsMethod) {
  TestClock clock;
  const KeyPair keys = keys_for("RS256");
  auto rsa = Jwt::open(
      {.method = "RS256", .public_key = keys.public_pem, .private_key = keys.private_pem}, clock);
  auto hmac = Jwt::open({.method = "HS256", .private_key = keys.public_pem}, clock);
  ASSERT_TRUE(rsa.ok() && hmac.ok());
  const auto forged = (*hmac)->sign({.user = "root", .auth_revision = 1});
  ASSERT_TRUE(forged.ok());
  EXPECT_FALSE((*rsa)->verify(*forged).has_value());
  const std::string none = absl::WebSafeBase64Escape(R"({"alg":"none","typ":"JWT"})") + "." +
                           absl::WebSafeBase64Escape(R"({"username":"root","revision":1})") + ".";
  EXPECT_FALSE((*rsa)->verify(none).has_value());
  auto another = Jwt::open({.method = "RS384", .private_key = keys.private_pem}, clock);
  EXPECT_FALSE((*rsa)->verify(*(*another)->sign({.user = "root", .auth_revision = 1})).has_value());
}

TEST(Jwt, KeysMustFitTheMethodAndEachOther) {
  TestClock clock;
  const KeyPair rsa = keys_for("RS256");
  const KeyPair p256 = keys_for("ES256");
  const KeyPair p384 = keys_for("ES384");
  const JwtOptions bad[] = {
      {.method = "none", .private_key = "x"},
      {.method = "RS1", .private_key = rsa.private_pem},
      {.method = "RS256"},
      {.method = "HS256"},
      {.method = "HS256", .public_key = "x"},
      {.method = "RS256", .private_key = p256.private_pem},
      {.method = "ES256", .private_key = rsa.private_pem},
      {.method = "ES256", .private_key = p384.private_pem},
      {.method = "EdDSA", .private_key = p256.private_pem},
      {.method = "RS256", .private_key = "no key"},
      {.method = "RS256", .public_key = "no key"},
      {.method = "ES256",
       .public_key = keys_for("ES256").public_pem,
       .private_key = p256.private_pem},
  };
  for (const JwtOptions& options : bad) {
    EXPECT_TRUE(absl::IsInvalidArgument(Jwt::open(options, clock).status())) << options.method;
  }
}

TEST(Jwt, RefusesClaimsThatAreNone) {
  TestClock clock;
  auto jwt = Jwt::open({.method = "HS256", .private_key = "secret"}, clock);
  ASSERT_TRUE(jwt.ok());
  for (const BytesView junk :
       {"", ".", "..", "...", "a.b.c", "e30.e30.", "e30.e30.e30", "\xff.\xff.\xff"}) {
    EXPECT_FALSE((*jwt)->verify(junk).has_value()) << junk;
  }
  EXPECT_FALSE((*jwt)->verify(Bytes(1 << 20, 'a')).has_value());
}

}  // namespace
}  // namespace holdfast::crypto
