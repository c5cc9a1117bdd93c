#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/crypto/openssl.h"
#include "datastore/ports/clock.h"

namespace holdfast::crypto {

struct JwtOptions {
  /// RS, PS, ES or HS with 256, 384 or 512, or EdDSA.
  std::string method;
  /// PEM: a public key or a certificate, and a private key; the content of either file. One is
  /// enough, the public one only to verify. HS takes the private file's bytes as they are.
  std::string public_key;
  std::string private_key;
  std::chrono::seconds ttl{300};
};

/// Signed tokens (RFC 7519): members need not know of each other's. The claims are etcd's:
/// `username`, `revision` and `exp`. Any thread.
class Jwt {
 public:
  struct Claims {
    Bytes user;
    std::uint64_t auth_revision = 0;
  };

  /// Errors: InvalidArgument, a sentence about the method or the key.
  static absl::StatusOr<std::unique_ptr<Jwt>> open(const JwtOptions& options,
                                                   const ports::Clock& clock);

  /// Costs up to milliseconds: not on an event loop. Errors: errors::verify_only_key.
  absl::StatusOr<Bytes> sign(const Claims& claims) const;

  /// What `token` vouches for now; nothing if it is no valid token of ours. A token that was found
  /// valid is remembered, so that the next request with it costs a look-up.
  std::optional<Claims> verify(BytesView token);

 private:
  /// How one method signs.
  struct Method {
    enum class Kind : std::uint8_t { kRsa, kRsaPss, kEcdsa, kEd25519, kHmac };
    std::string_view name;
    Kind kind;
    const EVP_MD* (*digest)();
    int key_type;    // EVP_PKEY_…; 0 for HMAC
    int curve_bits;  // ES only
  };
  struct Known {
    Claims claims;
    std::optional<std::int64_t> expires_unix_seconds;
    std::optional<std::int64_t> begins_unix_seconds;
  };
  static constexpr std::size_t kMaxKnown = 4096;
  static constexpr std::size_t kMaxTokenBytes = std::size_t{16} << 10;

  Jwt(const Method& method, std::chrono::seconds ttl, const ports::Clock& clock)
      : method_(method), ttl_(ttl), clock_(clock) {}
  static const Method* find_method(std::string_view name);
  absl::Status load_keys(const JwtOptions& options);
  absl::Status check_key(const KeyPtr& key) const;
  absl::StatusOr<Bytes> make_signature(BytesView text) const;
  bool is_signature(BytesView text, BytesView signature) const;
  std::optional<Known> read(BytesView token) const;
  bool is_current(const Known& known) const;

  const Method& method_;
  const std::chrono::seconds ttl_;
  const ports::Clock& clock_;
  KeyPtr private_key_;
  KeyPtr public_key_;
  Bytes secret_;
  mutable std::mutex mutex_;
  absl::flat_hash_map<Bytes, Known> known_;
};

}  // namespace holdfast::crypto
