#include "datastore/crypto/password.h"

#include <crypt.h>
#include <openssl/crypto.h>

#include <array>
#include <memory>

#include "absl/status/status.h"
#include "datastore/base/errors.h"

namespace holdfast::crypto {
namespace {

/// etcd writes the prefix of bcrypt's first version. To the system's bcrypt that name stands for a
/// variant with a guard against an old library's fault; plain bcrypt is called 2b there.
constexpr BytesView kStoredPrefix = "$2a$";
constexpr const char* kSystemPrefix = "$2b$";
constexpr std::size_t kPrefixBytes = 4;

Bytes in_systems_terms(BytesView hash) {
  Bytes renamed(hash);
  if (hash.substr(0, kPrefixBytes) == kStoredPrefix)
    renamed.replace(0, kPrefixBytes, kSystemPrefix);
  return renamed;
}

/// Empty if the system refuses the setting.
Bytes bcrypt(const Bytes& password, const Bytes& setting) {
  const auto scratch = std::make_unique<crypt_data>();
  const char* hash = crypt_rn(password.c_str(), setting.c_str(), scratch.get(),
                              static_cast<int>(sizeof(crypt_data)));
  Bytes copy = hash == nullptr ? Bytes() : Bytes(hash);
  OPENSSL_cleanse(scratch.get(), sizeof(crypt_data));
  return copy;
}

bool has_zero_byte(BytesView text) {
  return text.find('\0') != BytesView::npos;
}

}  // namespace

absl::StatusOr<Bytes> hash_password(BytesView password, int cost, const PasswordSalt& salt) {
  if (password.size() > kMaxPasswordBytes) return errors::password_too_long();
  if (has_zero_byte(password)) {
    return absl::InvalidArgumentError(
        "holdfast: a password with a zero byte cannot be kept; choose one without");
  }
  std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> setting;
  if (crypt_gensalt_rn(kSystemPrefix, static_cast<unsigned long>(cost), salt.data(),
                       static_cast<int>(salt.size()), setting.data(),
                       static_cast<int>(setting.size())) == nullptr) {
    return absl::InternalError("holdfast: the system's crypt library knows no bcrypt of this cost");
  }
  Bytes hash = bcrypt(Bytes(password), Bytes(setting.data()));
  if (hash.empty()) return absl::InternalError("holdfast: the system's bcrypt failed");
  hash.replace(0, kPrefixBytes, kStoredPrefix);
  return hash;
}

bool check_password(BytesView password, BytesView hash) {
  if (has_zero_byte(password) || hash.size() < kPrefixBytes || !hash.starts_with("$2")) {
    return false;
  }
  // What exceeds bcrypt's 72 bytes never counted.
  const Bytes wanted = in_systems_terms(hash);
  const Bytes found = bcrypt(Bytes(password.substr(0, kMaxPasswordBytes)), wanted);
  return found.size() == wanted.size() &&
         CRYPTO_memcmp(found.data(), wanted.data(), wanted.size()) == 0;
}

}  // namespace holdfast::crypto
