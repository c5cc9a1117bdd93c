#include "datastore/crypto/aead.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <memory>

#include "datastore/base/check.h"
#include "datastore/crypto/openssl.h"

namespace holdfast::crypto {
namespace {

unsigned char* bytes_of(Bytes& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

}  // namespace

void AeadContext::seal(BytesView nonce, BytesView associated, BytesView plain, char* out) {
  engine_->seal(nonce, associated, plain, out);
}

bool AeadContext::open(BytesView nonce, BytesView associated, BytesView sealed, char* out) {
  if (sealed.size() < kTagBytes) return false;
  const std::size_t size = sealed.size() - kTagBytes;
  return engine_->open(nonce, associated, sealed.substr(0, size), sealed.substr(size), out);
}

Bytes hkdf_sha256(BytesView secret, BytesView salt, BytesView purpose, std::size_t size_bytes) {
  using Kdf = std::unique_ptr<EVP_KDF, OpensslFree<&EVP_KDF_free>>;
  using KdfContext = std::unique_ptr<EVP_KDF_CTX, OpensslFree<&EVP_KDF_CTX_free>>;
  const Kdf kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const KdfContext context(EVP_KDF_CTX_new(kdf.get()));
  char digest[] = "SHA256";
  Bytes key(secret);
  Bytes salted(salt);
  Bytes info(purpose);
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.data(), key.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salted.data(), salted.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
      OSSL_PARAM_construct_end()};
  Bytes out(size_bytes, '\0');
  HOLDFAST_CHECK(EVP_KDF_derive(context.get(), bytes_of(out), out.size(), parameters) == 1);
  return out;
}

Bytes random_bytes(std::size_t size_bytes) {
  Bytes out(size_bytes, '\0');
  HOLDFAST_CHECK(RAND_bytes(bytes_of(out), static_cast<int>(out.size())) == 1);
  return out;
}

}  // namespace holdfast::crypto
