#include "operator/backup/proof_token.h"

#include <chrono>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "datastore/crypto/aead.h"
#include "datastore/crypto/jwt.h"
#include "datastore/platform/system_clock.h"
#include "operator/api/text.h"
#include "operator/backup/file.h"

namespace holdfast::backup {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kMaxKeyFileBytes = 128;
constexpr char kMethod[] = "HS256";
/// Of a Pod's deadline and more.
constexpr std::chrono::hours kTokenLife{7 * 24};
/// Later than any, and exact as a number of JSON's.
constexpr std::uint64_t kAnyAuthRevision = std::uint64_t{1} << 53;

std::string key_path(std::string_view folder) {
  return api::str_cat(folder, "/", kTokenKeyFile);
}

}  // namespace

std::string token_setting(std::string_view folder) {
  return api::str_cat("jwt,sign-method=", kMethod, ",priv-key=", key_path(folder));
}

absl::Status make_token_key(const std::string& folder) {
  return write_file(key_path(folder), absl::BytesToHexString(crypto::random_bytes(kKeyBytes)));
}

absl::StatusOr<std::string> sign_root_token(const std::string& folder) {
  const auto key = read_file(key_path(folder), kMaxKeyFileBytes);
  if (absl::IsNotFound(key.status())) return std::string();
  if (!key.ok()) return key.status();
  const platform::SystemClock clock;
  crypto::JwtOptions options{.method = kMethod, .private_key = *key};
  options.ttl = kTokenLife;
  const auto jwt = crypto::Jwt::open(options, clock);
  if (!jwt.ok()) return jwt.status();
  return (*jwt)->sign({.user = "root", .auth_revision = kAnyAuthRevision});
}

}  // namespace holdfast::backup
