#pragma once

#include <cstddef>
#include <memory>

#include "datastore/base/bytes.h"
#include "datastore/crypto/gcm_engine.h"
#include "datastore/crypto/key256.h"

namespace holdfast::crypto {

/// AES-256-GCM: what is sealed can be read and changed only by who has the key. Keyed once, for
/// many calls, none of which allocates. One thread at a time.
class AeadContext {
 public:
  static constexpr std::size_t kNonceBytes = kGcmNonceBytes;
  static constexpr std::size_t kTagBytes = kGcmTagBytes;

  explicit AeadContext(const Key256& key) : engine_(make_gcm(key)) {}

  /// From now on with another key.
  void use(const Key256& key) { engine_->use(key); }

  /// Writes the cipher text and its tag, kTagBytes more than `plain` (below 2 GiB), to `out`, which
  /// may be `plain` itself. `nonce` must be another for each different `plain` with this key;
  /// `associated` is authenticated, not kept.
  void seal(BytesView nonce, BytesView associated, BytesView plain, char* out);
  /// Writes what was sealed, kTagBytes less than `sealed`, to `out`, which may be `sealed` itself.
  /// False if it is not what was sealed with this key, nonce and associated data: then what `out`
  /// holds must not be used.
  bool open(BytesView nonce, BytesView associated, BytesView sealed, char* out);

 private:
  std::unique_ptr<GcmEngine> engine_;
};

/// `size_bytes` of key (at most 8160) from a secret, a salt and a purpose. Source: RFC 5869.
Bytes hkdf_sha256(BytesView secret, BytesView salt, BytesView purpose, std::size_t size_bytes);

/// Fit for salts and keys.
Bytes random_bytes(std::size_t size_bytes);

}  // namespace holdfast::crypto
