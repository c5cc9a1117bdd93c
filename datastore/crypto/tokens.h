#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "absl/status/statusor.h"
#include "datastore/crypto/jwt.h"
#include "datastore/crypto/password.h"
#include "datastore/crypto/simple_tokens.h"

namespace holdfast::crypto {

/// Whom a token stands for.
struct TokenOwner {
  Bytes user;
  /// That it vouches for; nothing for simple tokens, which vouch for the newest.
  std::optional<std::uint64_t> auth_revision;
};

/// The tokens of one member, of the kind that --auth-token chose. Any thread.
class Tokens {
 public:
  Tokens(std::chrono::nanoseconds ttl, const ports::Clock& clock, ports::Random& random)
      : simple_(ttl, clock), random_(random) {}
  Tokens(std::unique_ptr<Jwt> jwt, const ports::Clock& clock, ports::Random& random)
      : simple_(std::chrono::nanoseconds(0), clock), jwt_(std::move(jwt)), random_(random) {}

  bool are_signed() const { return jwt_ != nullptr; }
  /// What a login takes through the log: letters, or nothing where tokens are signed.
  Bytes new_prefix();
  PasswordSalt new_salt();
  /// Costs up to milliseconds. Requires are_signed(). Errors: errors::verify_only_key.
  absl::StatusOr<Bytes> sign(const Jwt::Claims& claims) const { return jwt_->sign(claims); }
  std::optional<TokenOwner> find(BytesView token);
  /// The simple ones, told by the log.
  SimpleTokens& simple() { return simple_; }

 private:
  SimpleTokens simple_;
  std::unique_ptr<Jwt> jwt_;
  std::mutex random_mutex_;
  ports::Random& random_;
};

}  // namespace holdfast::crypto
