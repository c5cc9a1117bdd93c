#include <openssl/evp.h>

#include <limits>
#include <memory>

#include "datastore/base/check.h"
#include "datastore/crypto/gcm_engine.h"
#include "datastore/crypto/openssl.h"

namespace holdfast::crypto {
namespace {

/// OpenSSL counts in ints.
constexpr std::size_t kMaxBytes = std::numeric_limits<int>::max();

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, OpensslFree<&EVP_CIPHER_CTX_free>>;

const unsigned char* bytes_of(BytesView view) {
  return reinterpret_cast<const unsigned char*>(view.data());
}

class OpensslGcm final : public GcmEngine {
 public:
  explicit OpensslGcm(const Key256& key) : key_(key) {}

  void use(const Key256& key) override {
    key_ = key;
    sealing_.reset();
    opening_.reset();
  }

  void seal(BytesView nonce, BytesView associated, BytesView plain, char* out) override {
    HOLDFAST_CHECK(nonce.size() == kGcmNonceBytes && plain.size() <= kMaxBytes);
    EVP_CIPHER_CTX* const context = begin(sealing_, kEncrypt, nonce, associated);
    auto* to = reinterpret_cast<unsigned char*>(out);
    const bool good =
        update(context, plain, to) &&
        EVP_CipherFinal_ex(context, to + plain.size(), &length_) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kGcmTagBytes, to + plain.size()) == 1;
    HOLDFAST_CHECK(good);
  }

  bool open(BytesView nonce, BytesView associated, BytesView cipher_text, BytesView tag,
            char* out) override {
    HOLDFAST_CHECK(nonce.size() == kGcmNonceBytes && tag.size() == kGcmTagBytes);
    if (cipher_text.size() > kMaxBytes) return false;
    EVP_CIPHER_CTX* const context = begin(opening_, kDecrypt, nonce, associated);
    char expected[kGcmTagBytes];
    tag.copy(expected, sizeof expected);
    auto* to = reinterpret_cast<unsigned char*>(out);
    const bool good =
        update(context, cipher_text, to) &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kGcmTagBytes, expected) == 1 &&
        EVP_CipherFinal_ex(context, to + cipher_text.size(), &length_) == 1;
    if (!good) take_openssl_error();
    return good;
  }

 private:
  static constexpr int kEncrypt = 1;
  static constexpr int kDecrypt = 0;

  /// Made and keyed when first needed: most users only seal, or only open.
  EVP_CIPHER_CTX* begin(CipherContext& context, int direction, BytesView nonce,
                        BytesView associated) {
    bool good = true;
    if (context == nullptr) {
      context.reset(EVP_CIPHER_CTX_new());
      good = EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key_.bytes()),
                               nullptr, direction) == 1;
    }
    good = good && EVP_CipherInit_ex(context.get(), nullptr, nullptr, nullptr, bytes_of(nonce),
                                     direction) == 1;
    good = good && update(context.get(), associated, nullptr);
    HOLDFAST_CHECK(good);
    return context.get();
  }

  bool update(EVP_CIPHER_CTX* context, BytesView from, unsigned char* to) {
    return EVP_CipherUpdate(context, to, &length_, bytes_of(from), static_cast<int>(from.size())) ==
           1;
  }

  Key256 key_;
  CipherContext sealing_;
  CipherContext opening_;
  int length_ = 0;  // of what OpenSSL has written: always what it was given
};

}  // namespace

std::unique_ptr<GcmEngine> make_openssl_gcm(const Key256& key) {
  return std::make_unique<OpensslGcm>(key);
}

}  // namespace holdfast::crypto
