#include "datastore/crypto/gcm_engine.h"

#ifdef HOLDFAST_IPSEC_MB
#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include "datastore/base/check.h"
#endif

namespace holdfast::crypto {

#ifdef HOLDFAST_IPSEC_MB
namespace {

/// The library's table of functions for this processor; null if that has no AES instructions.
/// Never written once made: any thread.
const IMB_MGR* functions() {
  static const IMB_MGR* const kFunctions = []() -> const IMB_MGR* {
    IMB_MGR* const manager = alloc_mb_mgr(0);
    if (manager == nullptr) return nullptr;
    init_mb_mgr_auto(manager, nullptr);
    const bool usable = imb_get_errno(manager) == 0 && (manager->features & IMB_FEATURE_AESNI) != 0;
    if (usable) return manager;
    free_mb_mgr(manager);
    return nullptr;
  }();
  return kFunctions;
}

/// The library refuses a null pointer, also to no bytes.
const void* bytes_of(BytesView view) {
  static constexpr char kNone = 0;
  return view.empty() ? &kNone : view.data();
}

class IpsecGcm final : public GcmEngine {
 public:
  IpsecGcm(const IMB_MGR* functions, const Key256& key) : functions_(functions) { expand(key); }
  ~IpsecGcm() override { OPENSSL_cleanse(&key_, sizeof key_); }
  IpsecGcm(const IpsecGcm&) = delete;
  IpsecGcm& operator=(const IpsecGcm&) = delete;

  void use(const Key256& key) override { expand(key); }

  void seal(BytesView nonce, BytesView associated, BytesView plain, char* out) override {
    HOLDFAST_CHECK(nonce.size() == kGcmNonceBytes);
    gcm_context_data state;
    auto* const to = reinterpret_cast<std::uint8_t*>(out);
    IMB_AES256_GCM_ENC(functions_, &key_, &state, to, in(plain), plain.size(), in(nonce),
                       in(associated), associated.size(), to + plain.size(), kGcmTagBytes);
  }

  bool open(BytesView nonce, BytesView associated, BytesView cipher_text, BytesView tag,
            char* out) override {
    HOLDFAST_CHECK(nonce.size() == kGcmNonceBytes && tag.size() == kGcmTagBytes);
    gcm_context_data state;
    std::uint8_t computed[kGcmTagBytes];
    // `out` may overlap `tag` only behind the cipher text, where nothing is written.
    IMB_AES256_GCM_DEC(functions_, &key_, &state, reinterpret_cast<std::uint8_t*>(out),
                       in(cipher_text), cipher_text.size(), in(nonce), in(associated),
                       associated.size(), computed, sizeof computed);
    return CRYPTO_memcmp(computed, tag.data(), sizeof computed) == 0;
  }

 private:
  static const std::uint8_t* in(BytesView view) {
    return static_cast<const std::uint8_t*>(bytes_of(view));
  }
  void expand(const Key256& key) { IMB_AES256_GCM_PRE(functions_, in(key.bytes()), &key_); }

  const IMB_MGR* const functions_;
  alignas(64) gcm_key_data key_;
};

}  // namespace

std::unique_ptr<GcmEngine> make_ipsec_gcm(const Key256& key) {
  const IMB_MGR* const found = functions();
  if (found == nullptr) return nullptr;
  return std::make_unique<IpsecGcm>(found, key);
}
#else
std::unique_ptr<GcmEngine> make_ipsec_gcm(const Key256& /*key*/) {
  return nullptr;
}
#endif

std::unique_ptr<GcmEngine> make_gcm(const Key256& key) {
  std::unique_ptr<GcmEngine> fastest = make_ipsec_gcm(key);
  return fastest != nullptr ? std::move(fastest) : make_openssl_gcm(key);
}

}  // namespace holdfast::crypto
