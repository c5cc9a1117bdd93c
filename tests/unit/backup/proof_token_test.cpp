#include "operator/backup/proof_token.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/time/clock.h"
#include "datastore/crypto/jwt.h"
#include "datastore/ports/clock.h"
#include "gtest/gtest.h"
#include "operator/backup/file.h"

namespace holdfast::backup {
namespace {

class Now final : public ports::Clock {
 public:
  std::chrono::nanoseconds monotonic() const override { return {}; }
  std::int64_t unix_milliseconds() const override { return absl::ToUnixMillis(absl::Now()); }
};

class Folder {
 public:
  Folder() { EXPECT_NE(::mkdtemp(path_.data()), nullptr); }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = testing::TempDir() + "proof-XXXXXX";
};

TEST(ProofToken, IsRootsAtAnyRevisionToWhoHasTheKey) {
  const Folder folder;
  ASSERT_TRUE(make_token_key(folder.path()).ok());
  const auto token = sign_root_token(folder.path());
  ASSERT_TRUE(token.ok()) << token.status();
  const auto key = read_file(folder.path() + "/token.key", 128);
  ASSERT_TRUE(key.ok());
  const Now clock;
  const auto jwt = crypto::Jwt::open({.method = "HS256", .private_key = *key}, clock);
  ASSERT_TRUE(jwt.ok()) << jwt.status();
  const auto claims = (*jwt)->verify(*token);
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->user, "root");
  EXPECT_GT(claims->auth_revision, std::uint64_t{1} << 50);

  const Folder other;
  ASSERT_TRUE(make_token_key(other.path()).ok());
  EXPECT_NE(*sign_root_token(other.path()), *token);
}

TEST(ProofToken, WithoutAKeyThereIsNone) {
  const Folder folder;
  const auto token = sign_root_token(folder.path());
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(*token, "");
}

}  // namespace
}  // namespace holdfast::backup
