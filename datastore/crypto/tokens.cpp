#include "datastore/crypto/tokens.h"

#include <utility>

namespace holdfast::crypto {

Bytes Tokens::new_prefix() {
  if (are_signed()) return {};
  const std::lock_guard lock(random_mutex_);
  return new_token_prefix(random_);
}

PasswordSalt Tokens::new_salt() {
  PasswordSalt salt;
  const std::lock_guard lock(random_mutex_);
  store_be64(salt.data(), random_.next());
  store_be64(salt.data() + 8, random_.next());
  return salt;
}

std::optional<TokenOwner> Tokens::find(BytesView token) {
  if (!are_signed()) {
    std::optional<Bytes> user = simple_.find(token);
    if (!user) return std::nullopt;
    return TokenOwner{*std::move(user), std::nullopt};
  }
  std::optional<Jwt::Claims> claims = jwt_->verify(token);
  if (!claims) return std::nullopt;
  return TokenOwner{std::move(claims->user), claims->auth_revision};
}

}  // namespace holdfast::crypto
