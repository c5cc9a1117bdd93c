#pragma once

#include <cstddef>
#include <memory>

#include "datastore/base/bytes.h"
#include "datastore/crypto/key256.h"

/// Who computes AES-256-GCM. All engines answer the same bytes.
namespace holdfast::crypto {

inline constexpr std::size_t kGcmNonceBytes = 12;
inline constexpr std::size_t kGcmTagBytes = 16;

/// AES-256-GCM under one key, keyed once; no call allocates. One thread at a time.
class GcmEngine {
 public:
  virtual ~GcmEngine() = default;
  /// From now on with another key.
  virtual void use(const Key256& key) = 0;
  /// Writes the cipher text, as long as `plain`, and behind it the tag to `out`, which may be
  /// `plain` itself. `nonce`: kGcmNonceBytes.
  virtual void seal(BytesView nonce, BytesView associated, BytesView plain, char* out) = 0;
  /// Writes what `cipher_text` was to `out`, which may be `cipher_text` itself; false, and what
  /// `out` holds must not be used, if `tag` (kGcmTagBytes) does not fit.
  virtual bool open(BytesView nonce, BytesView associated, BytesView cipher_text, BytesView tag,
                    char* out) = 0;
};

/// On every machine. A call costs 0.17 µs beside the bytes.
std::unique_ptr<GcmEngine> make_openssl_gcm(const Key256& key);

/// Five times as fast for values of 300 bytes. Null where this build or this processor has not
/// what it needs: AES-NI on x86-64.
std::unique_ptr<GcmEngine> make_ipsec_gcm(const Key256& key);

/// The fastest there is.
std::unique_ptr<GcmEngine> make_gcm(const Key256& key);

}  // namespace holdfast::crypto
