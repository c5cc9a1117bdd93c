#include "datastore/crypto/digest.h"

#include <openssl/evp.h>

#include "datastore/base/check.h"

namespace holdfast::crypto {

namespace {
template <class Digest>
void finish_into(EVP_MD_CTX* context, Digest& out) {
  unsigned int size = 0;
  HOLDFAST_CHECK(EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(out.data()), &size) ==
                 1);
  HOLDFAST_CHECK(size == out.size());
}

EVP_MD_CTX* begin(const EVP_MD* kind) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  HOLDFAST_CHECK(context != nullptr);
  HOLDFAST_CHECK(EVP_DigestInit_ex(context, kind, nullptr) == 1);
  return context;
}
}  // namespace

Sha1Digest sha1(BytesView data) {
  EVP_MD_CTX* context = begin(EVP_sha1());
  HOLDFAST_CHECK(EVP_DigestUpdate(context, data.data(), data.size()) == 1);
  Sha1Digest out;
  finish_into(context, out);
  EVP_MD_CTX_free(context);
  return out;
}

Sha256::Sha256() : context_(begin(EVP_sha256())) {
}

Sha256::~Sha256() {
  EVP_MD_CTX_free(context_);
}

void Sha256::update(BytesView data) {
  HOLDFAST_CHECK(EVP_DigestUpdate(context_, data.data(), data.size()) == 1);
}

Sha256Digest Sha256::finish() {
  Sha256Digest out;
  finish_into(context_, out);
  return out;
}

}  // namespace holdfast::crypto
